"""The biases of users and titles: a predictor of ratings, and the recommender that orders titles by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.contract import MOVIE_TITLE, USER_ID, USER_RATING
from model.evaluation.baselines.recommenders import same_for_all
from model.evaluation.interaction_matrix import distinct, lookup
from model.evaluation.top_n import Recommend

SHRINKAGES = (1, 2, 5, 10, 20, 50)
"""Tried on the validation part, for users and for titles."""
USUAL_SHRINKAGE = (10, 5)
"""For users and for titles, where there is no validation part."""


@dataclass(frozen=True)
class Biases:
    """Mean + bias of the title + bias of the user; a user or title without training rows has a bias of 0.

    The bias of a title is the sum of (rating - mean) over its ratings, divided by their number + `title_shrinkage`. The
    bias of a user is the sum of (rating - mean - bias of the title) over theirs, divided by their number +
    `user_shrinkage`. A few ratings therefore move a bias only a little. This is the decoupled baseline predictor of
    Koren and Bell (Recommender Systems Handbook, 2011).
    """

    users: pa.Array
    titles: pa.Array
    mean: float
    user_biases: np.ndarray
    """`float64[U + 1]`; the last, for any other user, is 0."""
    title_biases: np.ndarray
    """`float64[M + 1]`; the last, for any other title, is 0."""
    user_shrinkage: float
    title_shrinkage: float

    @classmethod
    def fit(cls, train: pa.Table, validation: pa.Table) -> Biases:
        """Fit to `train`, which has rows, with the shrinkages of least squared error on `validation`.

        Where `validation` has no rows, `USUAL_SHRINKAGE` is taken.
        """
        users, titles = distinct(train[USER_ID]), distinct(train[MOVIE_TITLE])
        choices: Iterable[tuple[int, int]] = itertools.product(SHRINKAGES, SHRINKAGES)
        known = _Rows.of(train, users, titles)
        if not validation.num_rows:
            return cls(users, titles, *known.biases(*USUAL_SHRINKAGE), *USUAL_SHRINKAGE)
        asked = _Rows.of(validation, users, titles)

        def error(choice: Sequence[int]) -> float:
            return float(np.mean((asked.predict(*known.biases(*choice)) - asked.ratings) ** 2))

        best = min(choices, key=error)
        return cls(users, titles, *known.biases(*best), *best)

    def predict(self, user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        """`float32[B]`: the predicted rating of each pair of an id and a title."""
        user = lookup(pa.array(user_id, pa.string()), self.users)
        title = lookup(pa.array(movie_title, pa.string()), self.titles)
        return (self.mean + self.user_biases[user] + self.title_biases[title]).astype(np.float32)


def recommend_by_biases(biases: Biases) -> Recommend:
    """Recommend the titles of highest predicted rating: those of highest bias, whoever the user is."""
    return same_for_all(biases.titles, biases.title_biases[:-1])


@dataclass(frozen=True)
class _Rows:
    """Ratings, each with the index of its user (below `user_count`) and title (below `title_count`); -1 if missing."""

    user: np.ndarray
    title: np.ndarray
    ratings: np.ndarray
    user_count: int
    title_count: int

    @classmethod
    def of(cls, table: pa.Table, users: pa.Array, titles: pa.Array) -> _Rows:
        return cls(
            lookup(table[USER_ID], users),
            lookup(table[MOVIE_TITLE], titles),
            table[USER_RATING].to_numpy().astype(np.float64),
            len(users),
            len(titles),
        )

    def biases(self, user_shrinkage: float, title_shrinkage: float) -> tuple[float, np.ndarray, np.ndarray]:
        """Mean, `float64[U + 1]` of users and `float64[M + 1]` of titles."""
        mean = float(self.ratings.mean())
        left = self.ratings - mean
        title_biases = _shrunk(left, self.title, self.title_count, title_shrinkage)
        left = left - title_biases[self.title]
        return mean, _shrunk(left, self.user, self.user_count, user_shrinkage), title_biases

    def predict(self, mean: float, user_biases: np.ndarray, title_biases: np.ndarray) -> np.ndarray:
        # An index of -1, a user or title that training does not have, takes the last bias, which is 0.
        return mean + user_biases[self.user] + title_biases[self.title]


def _shrunk(values: np.ndarray, groups: np.ndarray, count: int, shrinkage: float) -> np.ndarray:
    sums = np.bincount(groups, weights=values, minlength=count + 1)
    return sums / (np.bincount(groups, minlength=count + 1) + shrinkage)
