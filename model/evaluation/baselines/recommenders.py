"""Recommenders made of scores: one score for each title, or one for each user and title."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from model.evaluation.interaction_matrix import InteractionMatrix, lookup
from model.evaluation.top_n import Recommend, best_of_order, best_unseen


def same_for_all(known: pa.Array, scores: np.ndarray) -> Recommend:
    """Recommend by `scores: float[M]` of the titles `known: string[M]`; any other title scores 0."""

    def recommend(
        user_ids: pa.Array, titles: pa.Array, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> np.ndarray:
        order = np.argsort(-_scores_of(titles, known, scores), kind="stable")
        return best_of_order(order, seen_values, seen_row_splits, k)

    return recommend


def personal(matrix: InteractionMatrix, score: Callable[[np.ndarray], np.ndarray], strangers: Recommend) -> Recommend:
    """Recommend to each user by scores of their own.

    Args:
      matrix: what `score` was fitted to.
      score: takes B row numbers of `matrix` and returns a new array `float32[B, M]`, a score for each of its titles.
      strangers: recommends to users who are not in `matrix`.

    Returns:
      A recommender for any users and titles; a title that is not in `matrix` scores 0.
    """

    def recommend(
        user_ids: pa.Array, titles: pa.Array, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> np.ndarray:
        index = strangers(user_ids, titles, seen_values, seen_row_splits, k)
        rows = lookup(user_ids, matrix.users)
        known = np.flatnonzero(rows >= 0)
        if len(known):
            scores = _scores_of(titles, matrix.titles, score(rows[known]))
            # Drop what strangers have seen: their rows are not scored here.
            lengths = np.diff(seen_row_splits)
            values = seen_values[np.repeat(rows >= 0, lengths)]
            splits = np.concatenate([[0], np.cumsum(lengths[known])])
            index[known] = best_unseen(scores, values, splits, k)
        return index

    return recommend


def _scores_of(titles: pa.Array, known: pa.Array, scores: np.ndarray) -> np.ndarray:
    """`scores`, whose last axis is that of `known`, in the order of `titles`; 0 for a title that is not known."""
    column = lookup(titles, known)
    taken = scores[..., column].astype(np.float32) if len(known) else np.zeros((*scores.shape[:-1], len(column)))
    taken[..., column < 0] = 0
    return taken
