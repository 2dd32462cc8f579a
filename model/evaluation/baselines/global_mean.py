"""The mean rating, predicted for every pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.contract import USER_RATING


@dataclass(frozen=True)
class GlobalMean:
    """The mean rating of the training rows."""

    mean: float

    @classmethod
    def fit(cls, train: pa.Table) -> GlobalMean:
        """Take the mean of `train`, which has rows."""
        return cls(float(np.mean(train[USER_RATING].to_numpy(), dtype=np.float64)))

    def predict(self, user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        """`float32[B]`: the mean for each pair."""
        return np.full(len(movie_title), self.mean, np.float32)
