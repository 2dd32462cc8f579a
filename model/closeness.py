"""Vectors of titles and of users' histories in closed form, from which titles are watched close to each other.

EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data") predicts a history from itself by a matrix B
with a zero diagonal: with G = X'X and P = (G + l2 I)^-1, `B[i, j] = -P[i, j] / P[j, j]`. Two things are different here,
because what matters is what a user watches next:

- In G a pair of titles counts the less, the further apart a user watched them: `far + (1 - far) * 0.5 ** (d / near)`
  for d places between them, 0 beyond `window`.
- A history is not a sum of equals: the title at place p from its end, 0 the latest, weighs
  `kept + (1 - kept) * 0.5 ** (p / half_life)`.

B is then brought to rank D, `B = P Q'`, so that a history is a vector, the weighted sum of its titles' rows of P, and
its score of a title a product with the title's row of Q.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OVERSAMPLING, POWER_ITERATIONS = 16, 6


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
    """B of G: `float[titles, titles]`, of the type of `pairs`, with a zero diagonal."""
    regular = pairs.copy()
    regular[np.diag_indices(len(regular))] += l2
    inverse = np.linalg.inv(regular)
    matrix = inverse / -np.diag(inverse)
    matrix[np.diag_indices(len(matrix))] = 0
    return matrix


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
    """`float32[users, D]`: the weighted sum of the rows of P of each user's titles; zeros without interactions."""
    ends = np.cumsum(histories.lengths)
    from_end = ends[histories.user] - 1 - np.arange(len(histories.user))
    weight = settings.kept + (1 - settings.kept) * 0.5 ** (from_end / settings.half_life)
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
