"""The arrays that a fitted model is exported from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np


class Weights(Protocol):
    """The vocabularies and arrays of a fitted model. Row 0 of a table is for unknown words, row i + 1 for word i."""

    @property
    def user_ids(self) -> Sequence[str]:
        """The vocabulary of users."""

    @property
    def movie_titles(self) -> Sequence[str]:
        """The vocabulary of titles."""

    @property
    def known(self) -> np.ndarray:
        """`bool[users + 1]`: whether the training data had interactions of the user."""

    @property
    def user_tables(self) -> Sequence[np.ndarray]:
        """Everything the model knows about users: `float32[users + 1, ..]` each, in the order of `UserTables`."""

    def without_users(self) -> Weights:
        """The same weights with an empty user vocabulary; the user tables keep row 0 only."""

    def arrays(self) -> Iterator[np.ndarray]:
        """Every array that the model computes with, always in the same order."""
