"""Ratings predicted without a model worth the name: what any model must beat."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.contract import MOVIE_TITLE, USER_ID, USER_RATING
from model.evaluation.interaction_matrix import distinct, positions

SHRINKAGES = (1, 2, 5, 10, 20, 50)
"""What is tried on a validation part, for users and for titles."""
USUAL_SHRINKAGE = (10, 5)
"""Of users and of titles, where there is no validation part."""

GLOBAL_MEAN = "global mean"
BIASES = "biases"


@dataclass(frozen=True)
class GlobalMean:
    """The mean rating of the training rows, for every pair."""

    mean: float

    @classmethod
    def fit(cls, train: pa.Table) -> GlobalMean:
        """Take the mean of `train`, which has rows."""
        return cls(float(np.mean(train[USER_RATING].to_numpy(), dtype=np.float64)))

    def predict(self, user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        """`float32[B]`, the mean."""
        return np.full(len(movie_title), self.mean, np.float32)


@dataclass(frozen=True)
class Biases:
    """Mean + bias of the title + bias of the user; a user or title without training rows has none.

    The bias of a title is the sum of its ratings' distances from the mean, divided by their number + `title_shrinkage`;
    that of a user is the same of what is left of the user's ratings then, with `user_shrinkage`. So few ratings move
    little. The baseline predictor of Koren, Bell and Volinsky, decoupled (Recommender Systems Handbook, 2011).
    """

    users: pa.Array
    titles: pa.Array
    mean: float
    user_biases: np.ndarray
    """`float64[U + 1]`, the last, for anybody else, 0."""
    title_biases: np.ndarray
    """`float64[M + 1]`, the last, for any other title, 0."""
    user_shrinkage: float
    title_shrinkage: float

    @classmethod
    def fit(cls, train: pa.Table, validation: pa.Table) -> Biases:
        """Fit to `train`, which has rows, with the shrinkage of least squared error on `validation` where it has."""
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
        """`float32[B]`, the predicted rating of each pair of an id and a title."""
        user = positions(pa.array(user_id, pa.string()), self.users)
        title = positions(pa.array(movie_title, pa.string()), self.titles)
        return (self.mean + self.user_biases[user] + self.title_biases[title]).astype(np.float32)


@dataclass(frozen=True)
class _Rows:
    """Ratings with the places of their user and title in lists of `user_count` and `title_count`, -1 where missing."""

    user: np.ndarray
    title: np.ndarray
    ratings: np.ndarray
    user_count: int
    title_count: int

    @classmethod
    def of(cls, table: pa.Table, users: pa.Array, titles: pa.Array) -> _Rows:
        return cls(
            positions(table[USER_ID], users),
            positions(table[MOVIE_TITLE], titles),
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
        # -1, for a user or title that training has not, takes the last bias, which is 0.
        return mean + user_biases[self.user] + title_biases[self.title]


def _shrunk(values: np.ndarray, groups: np.ndarray, count: int, shrinkage: float) -> np.ndarray:
    sums = np.bincount(groups, weights=values, minlength=count + 1)
    return sums / (np.bincount(groups, minlength=count + 1) + shrinkage)
