"""Sequential EASE: vectors of titles and of histories in closed form, from the order in which titles are watched.

EASE (Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data") predicts a history from itself by a matrix B of
title weights with a zero diagonal: with G = X'X and P = (G + l2 I)^-1, `B[i, j] = -P[i, j] / P[j, j]`. Two things are
different here, because the aim is to predict what a user watches next:

- In G a pair of titles counts less the further apart a user watched them. It counts
  `far_weight + (1 - far_weight) * 0.5 ** (d / half_distance)` at a distance of d interactions, and 0 beyond `window`.
- The titles of a history do not weigh the same. A title with p later ones weighs
  `old_weight + (1 - old_weight) * 0.5 ** (p / half_life)`.

B is then factored into rank D, `B = C T'`. A history becomes a vector, the weighted mean of its titles' context vectors
(rows of C), and its score for a title is the product with that title's target vector (row of T). A mean orders titles
as a sum does, and gives long and short histories scores of similar size.
"""

from __future__ import annotations

import numpy as np

from model.rankers.linear_algebra import factorize, invert
from model.rankers.relevance.histories import Histories
from model.rankers.settings import SequentialEaseSettings

VALUES_AT_ONCE = 1 << 26
"""Weighted components that are held in memory at a time, 256 MiB."""
EXPECTED_LENGTH = 64
"""Of a history, to tell how many users those are."""


def title_vectors(histories: Histories, settings: SequentialEaseSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Context and target vectors, `float32[titles, D]` each; zeros for titles beyond the `max_titles` most popular."""
    counts = histories.counts
    kept = np.sort(np.argsort(-counts, kind="stable")[: min(settings.max_titles, np.count_nonzero(counts))])
    index = np.full(histories.titles, -1)
    index[kept] = np.arange(len(kept))
    pairs = co_occurrence_matrix(histories.user, index[histories.title], len(kept), settings)
    context, target = factorize(title_weights(pairs, settings.l2), settings.dimension, seed)
    both = np.zeros((2, histories.titles, settings.dimension), np.float32)
    both[0, kept, : context.shape[1]], both[1, kept, : target.shape[1]] = context, target
    return both[0], both[1]


def co_occurrence_matrix(
    user: np.ndarray, title: np.ndarray, titles: int, settings: SequentialEaseSettings
) -> np.ndarray:
    """G, `float32[titles, titles]`.

    Args:
      user: `int64[rows]`, as in `Histories`.
      title: `int64[rows]`, as in `Histories`; -1 for a title that is left out, which still counts in distances.
      titles: the number of titles.
      settings: how much a pair counts.
    """
    pairs = np.zeros(titles * titles, np.float32)
    for distance in range(1, settings.window + 1):
        both = (user[distance:] == user[:-distance]) & (title[distance:] >= 0) & (title[:-distance] >= 0)
        if len(user) <= distance or not (user[distance:] == user[:-distance]).any():
            break
        weight = settings.far_weight + (1 - settings.far_weight) * 0.5 ** (distance / settings.half_distance)
        np.add.at(pairs, title[distance:][both] * titles + title[:-distance][both], np.float32(weight))
    matrix = pairs.reshape(titles, titles)
    matrix += matrix.T.copy()
    matrix[np.diag_indices(titles)] = np.bincount(title[title >= 0], minlength=titles)
    return matrix


def title_weights(pairs: np.ndarray, l2: float) -> np.ndarray:
    """B from G: `float[titles, titles]` with a zero diagonal. It overwrites `pairs`."""
    pairs[np.diag_indices(len(pairs))] += l2
    invert(pairs)
    pairs /= -np.diag(pairs).copy()
    pairs[np.diag_indices(len(pairs))] = 0
    return pairs


def history_vectors(histories: Histories, context: np.ndarray, settings: SequentialEaseSettings) -> np.ndarray:
    """`float32[users, D]`: the weighted mean of the context vectors of each user's titles; zeros without any."""
    weight = settings.old_weight + (1 - settings.old_weight) * 0.5 ** (histories.age / settings.half_life)
    weight /= np.bincount(histories.user, weight, minlength=histories.users)[histories.user]
    vectors = np.zeros((histories.users, context.shape[1]), np.float32)
    starts = np.flatnonzero(np.diff(histories.user, prepend=-1))
    users_at_once = max(1, VALUES_AT_ONCE // context.shape[1]) // EXPECTED_LENGTH + 1
    for first in range(0, len(starts), users_at_once):
        some = starts[first : first + users_at_once]
        end = starts[first + len(some)] if first + len(some) < len(starts) else len(histories.user)
        rows = slice(some[0], end)
        weighted = context[histories.title[rows]] * weight[rows, None].astype(np.float32)
        vectors[histories.user[some]] = np.add.reduceat(weighted, some - some[0], axis=0)
    return vectors
