"""Vectors of titles and of users' histories in closed form, from which titles are watched close to each other.

EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data") predicts a history from itself by a matrix B
with a zero diagonal: with G = X'X and P = (G + l2 I)^-1, `B[i, j] = -P[i, j] / P[j, j]`. Two things are different here,
because what matters is what a user watches next:

- In G a pair of titles counts the less, the further apart a user watched them: `far + (1 - far) * 0.5 ** (d / near)`
  for d places between them, 0 beyond `window`.
- A history is not a sum of equals: the title at place p from its end, 0 the latest, weighs
  `kept + (1 - kept) * 0.5 ** (p / half_life)`.

B is then brought to rank D, `B = P Q'`, so that a history is a vector, the weighted mean of its titles' rows of P, and
its score of a title a product with the title's row of Q. (A mean orders titles as a sum does, and long histories and
short ones have scores of one size.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.metrics.ranking import measure_users

OVERSAMPLING, POWER_ITERATIONS = 16, 6
INVERTED_AT_ONCE = 2_048
CHOOSING_USERS, CHOOSING_LAST, CHOOSING_TITLES = 4_000, 5, 5_000


@dataclass(frozen=True)
class Closeness:
    """How titles come to be close; the letters of the module's text."""

    dimension: int = 96
    l2: float = 200.0
    near: float = 20.0
    far: float = 0.1
    window: int = 200
    half_life: float = 4.0
    kept: float = 0.1
    most_titles: int = 20_000
    """Titles with vectors of their own: the matrix has this squared entries, 1.6 GiB as float32. Others, the least
    watched, get vectors by what is known of them."""


@dataclass(frozen=True)
class Histories:
    """Interactions in the order of users, and of each user by time, the oldest first."""

    user: np.ndarray
    """`int64[rows]`, rising."""
    title: np.ndarray
    """`int64[rows]`"""
    users: int
    titles: int

    @property
    def lengths(self) -> np.ndarray:
        """`int64[users]`."""
        return np.bincount(self.user, minlength=self.users)

    @property
    def counts(self) -> np.ndarray:
        """`int64[titles]`, interactions with each."""
        return np.bincount(self.title, minlength=self.titles)


def choose(histories: Histories, options: Sequence[Closeness], seed: int) -> tuple[Closeness, list[float]]:
    """The option that best foretells what users watch last, and the NDCG of each, see `foretell`.

    How much order and nearness tell differs from catalogue to catalogue, so it is measured and not assumed. Of equals
    the first is chosen; of one, or where no user has enough interactions, it is chosen without measuring.
    """
    if len(options) == 1 or not (histories.lengths > 2 * CHOOSING_LAST).any():
        return options[0], []
    results = [foretell(histories, _smaller(option), seed) for option in options]
    return options[int(np.argmax(results))], results


def _smaller(option: Closeness) -> Closeness:
    """The same of the most watched titles alone: a matrix of more takes minutes, and they tell options apart."""
    return replace(option, most_titles=min(option.most_titles, CHOOSING_TITLES))


def foretell(histories: Histories, settings: Closeness, seed: int) -> float:
    """How well what users watch last is told by what they watched before: the mean NDCG@10 of unseen titles.

    Args:
      histories: of `CHOOSING_USERS` users, drawn by `seed`, with more than twice as many interactions as that, the last
        `CHOOSING_LAST` are foretold.
      settings: of the vectors.
      seed: also as of `title_vectors`.
    """
    from_end = _places_from_end(histories)
    enough = np.flatnonzero(histories.lengths > 2 * CHOOSING_LAST)
    users = np.sort(np.random.default_rng(seed).permutation(enough)[:CHOOSING_USERS])
    chosen = np.zeros(histories.users, bool)
    chosen[users] = True
    held = chosen[histories.user] & (from_end < CHOOSING_LAST)
    before = Histories(histories.user[~held], histories.title[~held], histories.users, histories.titles)
    splits = np.arange(len(users) + 1, dtype=np.int64) * CHOOSING_LAST
    left, right = title_vectors(before, settings, seed)
    vectors = history_vectors(before, left, settings)
    blocks = (users[first : first + 1_024] for first in range(0, len(users), 1_024))
    index = np.concatenate([_best(vectors, right, before, block) for block in blocks])
    return float(np.nanmean(measure_users(index, histories.title[held].astype(np.int32), splits).ndcg))


def title_vectors(histories: Histories, settings: Closeness, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """P and Q, both `float32[titles, D]`; zeros for titles that are not among the `most_titles` most watched."""
    counts = histories.counts
    watched = np.sort(np.argsort(-counts, kind="stable")[: min(settings.most_titles, np.count_nonzero(counts))])
    place = np.full(histories.titles, -1)
    place[watched] = np.arange(len(watched))
    matrix = predictor(near_pairs(histories.user, place[histories.title], len(watched), settings), settings.l2)
    left, right = factorize(matrix, settings.dimension, seed)
    both = np.zeros((2, histories.titles, settings.dimension), np.float32)
    both[0, watched, : left.shape[1]], both[1, watched, : right.shape[1]] = left, right
    return both[0], both[1]


def near_pairs(user: np.ndarray, title: np.ndarray, titles: int, settings: Closeness) -> np.ndarray:
    """G, `float32[titles, titles]`.

    Args:
      user: `int64[rows]`, as in `Histories`.
      title: `int64[rows]`; -1 for one that is left out, which keeps its place in the history.
      titles: how many there are.
      settings: how much a pair counts.
    """
    pairs = np.zeros(titles * titles, np.float32)
    for distance in range(1, settings.window + 1):
        both = (user[distance:] == user[:-distance]) & (title[distance:] >= 0) & (title[:-distance] >= 0)
        if len(user) <= distance or not (user[distance:] == user[:-distance]).any():
            break
        weight = settings.far + (1 - settings.far) * 0.5 ** (distance / settings.near)
        np.add.at(pairs, title[distance:][both] * titles + title[:-distance][both], np.float32(weight))
    matrix = pairs.reshape(titles, titles)
    matrix += matrix.T.copy()
    matrix[np.diag_indices(titles)] = np.bincount(title[title >= 0], minlength=titles)
    return matrix


def predictor(pairs: np.ndarray, l2: float) -> np.ndarray:
    """B of G: `float[titles, titles]`, with a zero diagonal, in place of `pairs`."""
    pairs[np.diag_indices(len(pairs))] += l2
    invert(pairs)
    pairs /= -np.diag(pairs).copy()
    pairs[np.diag_indices(len(pairs))] = 0
    return pairs


def invert(matrix: np.ndarray) -> None:
    """Invert a symmetric matrix, `float[n, n]`, in place; its leading quarters must have inverses, as positive ones do.

    By halves: with A, B, C its quarters and S = C - B'A^-1 B, the inverse has S^-1 below and `-A^-1 B S^-1` beside it.
    That is half the arithmetic of a general inverse, all of it products, and 3/4 n^2 numbers beside the matrix and not
    4 n^2.
    """
    size = len(matrix)
    if size <= INVERTED_AT_ONCE:
        matrix[:] = np.linalg.inv(matrix)
        return
    half = size // 2
    first, beside, last = matrix[:half, :half], matrix[:half, half:], matrix[half:, half:]
    invert(first)
    solved = first @ beside
    last -= beside.T @ solved
    invert(last)
    np.negative(solved @ last, out=beside)
    first -= beside @ solved.T
    matrix[half:, :half] = beside.T


def factorize(matrix: np.ndarray, dimension: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """`float[n, n]` -> P and Q, `float32[n, dimension]`, of the best product of that rank, or all but.

    A randomized range finder with power iterations (Halko, Martinsson and Tropp 2011, algorithm 4.4).
    """
    size = min(dimension + OVERSAMPLING, len(matrix))
    basis = np.random.default_rng(seed).standard_normal((len(matrix), size)).astype(matrix.dtype)
    for _ in range(POWER_ITERATIONS):
        basis = np.linalg.qr(matrix @ (matrix.T @ basis))[0]
    left, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    root = np.sqrt(values[:dimension])
    return ((basis @ left)[:, :dimension] * root).astype(np.float32), (right[:dimension].T * root).astype(np.float32)


def history_vectors(histories: Histories, left: np.ndarray, settings: Closeness) -> np.ndarray:
    """`float32[users, D]`: the weighted mean of the rows of P of each user's titles; zeros without interactions."""
    from_end = _places_from_end(histories)
    weight = settings.kept + (1 - settings.kept) * 0.5 ** (from_end / settings.half_life)
    weight /= np.bincount(histories.user, weight, minlength=histories.users)[histories.user]
    vectors = np.zeros((histories.users, left.shape[1]), np.float32)
    starts = np.flatnonzero(np.diff(histories.user, prepend=-1))
    step = max(1, (1 << 26) // left.shape[1])  # rows at a time, so that the weighted rows take 256 MiB and not more
    for first in range(0, len(starts), step // 64 + 1):
        some = starts[first : first + step // 64 + 1]
        end = starts[first + len(some)] if first + len(some) < len(starts) else len(histories.user)
        rows = slice(some[0], end)
        weighted = left[histories.title[rows]] * weight[rows, None].astype(np.float32)
        vectors[histories.user[some]] = np.add.reduceat(weighted, some - some[0], axis=0)
    return vectors


def _places_from_end(histories: Histories) -> np.ndarray:
    """`int64[rows]`, 0 for the latest of each user."""
    ends = np.cumsum(histories.lengths)
    return ends[histories.user] - 1 - np.arange(len(histories.user))


def _best(vectors: np.ndarray, right: np.ndarray, before: Histories, users: np.ndarray) -> np.ndarray:
    """`int32[B, 10]`, the best titles of some users, in rising order of their numbers, without those they have."""
    scores = vectors[users] @ right.T
    rows = slice(*np.searchsorted(before.user, [users[0], users[-1] + 1]))
    place = np.searchsorted(users, before.user[rows])
    theirs = users[np.minimum(place, len(users) - 1)] == before.user[rows]
    scores[place[theirs], before.title[rows][theirs]] = -np.inf
    count = min(10, scores.shape[1])
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1).astype(np.int32)
