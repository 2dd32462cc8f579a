"""Recommenders that need no training worth the name, fitted to the train part of a split: what a model must beat."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.contract import MOVIE_TITLE, USER_ID
from model.data.splits import Split
from model.evaluation.interaction_matrix import InteractionMatrix, distinct, positions
from model.evaluation.rating_baselines import Biases
from model.evaluation.top_n import Recommend, best_of_order, best_unseen

POPULARITY = "popularity"
BIASES = "biases"
EASE = "ease"
IALS = "ials"

LABELS = {
    POPULARITY: "most popular",
    BIASES: "by predicted rating (biases)",
    EASE: "EASE, lambda 200",
    IALS: "iALS, 32 factors",
}
EASE_LAMBDA = 200.0
EASE_MOST_TITLES = 20_000
"""Above it the titles x titles matrix, 4 bytes a cell, and its inverse no longer fit a small machine."""
IALS_SETTINGS = {"factors": 32, "regularization": 0.05, "alpha": 2.0, "iterations": 15}
"""Regularization and alpha as the tutorial of `implicit` has them, iterations its default."""


@dataclass(frozen=True)
class Baselines:
    """What `fit_baselines` gives."""

    recommenders: dict[str, Recommend]
    """By name, in the order of `LABELS`."""
    left_out: dict[str, str]
    """Why the others are not there, by name."""


def fit_baselines(split: Split, seed: int = 0) -> Baselines:
    """Fit every baseline to the train part, which has rows; `seed` is that of iALS."""
    train = split.train
    matrix = InteractionMatrix.of(train, distinct(train[USER_ID]), distinct(train[MOVIE_TITLE]))
    recommenders: dict[str, Recommend] = {
        POPULARITY: popularity(matrix),
        BIASES: by_biases(Biases.fit(train, split.validation)),
    }
    left_out = {}
    if len(matrix.titles) <= EASE_MOST_TITLES:
        recommenders[EASE] = ease(matrix)
    else:
        left_out[EASE] = f"{len(matrix.titles):,} titles are more than the {EASE_MOST_TITLES:,} that it is fitted to"
    if importlib.util.find_spec("implicit"):
        recommenders[IALS] = ials(matrix, seed)
    else:
        left_out[IALS] = "the package implicit is not installed"
    return Baselines(recommenders, left_out)


def popularity(matrix: InteractionMatrix) -> Recommend:
    """The titles that most users have, the same order for everybody."""
    return _same_for_all(matrix.titles, matrix.title_counts, otherwise=0)


def by_biases(biases: Biases) -> Recommend:
    """The titles of highest rating predicted by `Biases`: those of highest title bias, whoever the user is."""
    return _same_for_all(biases.titles, biases.title_biases[:-1], otherwise=0)


def ease(matrix: InteractionMatrix, penalty: float = EASE_LAMBDA) -> Recommend:
    """Linear item-to-item weights by ridge regression without self-similarity: EASE (Steck, WWW 2019).

    With X the 0-1 matrix of users and titles and P = inverse(X'X + penalty I), the weight of title i for title j is
    -P[i, j] / P[j, j], and a user's score of a title that they have not is -(x P)[j] / P[j, j]. Where there are fewer
    users than titles, X P comes, exactly equal, from inverse(X X' + penalty I) X, which is smaller by far. float32.
    What a user has in training is to be among what they have seen: its score would be one too low.
    A title that training does not have scores 0; a user whom it does not have gets the most popular.
    """
    users, count = len(matrix.users), len(matrix.titles)
    if users <= count:
        dense = np.zeros((users, count), np.float32)
        dense[matrix.rows.row_numbers, matrix.rows.values] = 1
        gram = dense @ dense.T
        gram[np.diag_indices(users)] += penalty
        projected = np.linalg.solve(gram, dense)
        diagonal = (1 - np.einsum("um,um->m", dense, projected)) / penalty

        def score(rows: np.ndarray) -> np.ndarray:
            return projected[rows] / -diagonal
    else:
        gram = _count_pairs(matrix)
        gram[np.diag_indices(count)] += penalty
        weights = np.linalg.inv(gram)
        weights /= -np.diag(weights).copy()

        def score(rows: np.ndarray) -> np.ndarray:
            # A user's few rows of the weights, rather than a product with all of them.
            taken = matrix.rows.take(rows)
            parts = np.split(taken.values, taken.row_splits[1:-1])
            return np.stack([weights[part].sum(axis=0) for part in parts])

    return _scored(matrix, score)


def ials(matrix: InteractionMatrix, seed: int) -> Recommend:
    """Matrix factorization of implicit feedback (Hu, Koren and Volinsky, ICDM 2008), fitted by `implicit`.

    A title that training does not have scores 0; a user whom it does not have gets the most popular.

    Raises:
      ModuleNotFoundError: `implicit` is not installed; it is no dependency.
    """
    als, sparse = importlib.import_module("implicit.als"), importlib.import_module("scipy.sparse")
    ones = np.ones(len(matrix.rows.values), np.float32)
    shape = (len(matrix.users), len(matrix.titles))
    model = als.AlternatingLeastSquares(**IALS_SETTINGS, random_state=seed, use_gpu=False)
    model.fit(sparse.csr_matrix((ones, matrix.rows.values, matrix.rows.row_splits), shape), show_progress=False)
    user_factors, title_factors = np.asarray(model.user_factors), np.asarray(model.item_factors)
    return _scored(matrix, lambda rows: user_factors[rows] @ title_factors.T)


def _same_for_all(known: pa.Array, scores: np.ndarray, otherwise: float) -> Recommend:
    def recommend(
        user_ids: pa.Array, titles: pa.Array, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> np.ndarray:
        order = np.argsort(-_at(titles, known, scores, otherwise), kind="stable")
        return best_of_order(order, seen_values, seen_row_splits, k)

    return recommend


def _scored(matrix: InteractionMatrix, score: Callable[[np.ndarray], np.ndarray]) -> Recommend:
    """`score` takes B positions in `matrix.users` to `float32[B, M]` of its titles, in an array of their own."""
    popular = popularity(matrix)

    def recommend(
        user_ids: pa.Array, titles: pa.Array, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> np.ndarray:
        index = popular(user_ids, titles, seen_values, seen_row_splits, k)
        rows = positions(user_ids, matrix.users)
        known = np.flatnonzero(rows >= 0)
        if len(known):
            scores = _at(titles, matrix.titles, score(rows[known]), 0)
            # Where a user is unknown, so are the places in seen_values that are to be skipped.
            lengths = np.diff(seen_row_splits)
            values = seen_values[np.repeat(rows >= 0, lengths)]
            splits = np.concatenate([[0], np.cumsum(lengths[known])])
            index[known] = best_unseen(scores, values, splits, k)
        return index

    return recommend


def _at(titles: pa.Array, known: pa.Array, scores: np.ndarray, otherwise: float) -> np.ndarray:
    """`scores`, whose last axis is that of `known`, in the order of `titles`; `otherwise` for those not known."""
    place = positions(titles, known)
    taken = scores[..., place].astype(np.float32) if len(known) else np.zeros((*scores.shape[:-1], len(place)))
    taken[..., place < 0] = otherwise
    return taken


def _count_pairs(matrix: InteractionMatrix) -> np.ndarray:
    """`float32[M, M]`: how many users have both of two titles; X'X without the zeros of X."""
    count = len(matrix.titles)
    user_of = matrix.rows.row_numbers
    by_title = np.argsort(matrix.rows.values, kind="stable")
    bounds = np.searchsorted(matrix.rows.values[by_title], np.arange(1, count))
    together = np.empty((count, count), np.float32)
    for row, owners in zip(together, np.split(user_of[by_title], bounds), strict=True):
        row[:] = np.bincount(matrix.rows.take(owners).values, minlength=count)
    return together
