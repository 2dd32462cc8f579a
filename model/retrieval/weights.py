"""What every kind of ranker is made of, once it is fitted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np


class Weights(Protocol):
    """What a recommender is made of."""

    @property
    def user_ids(self) -> Sequence[str]:
        """The vocabulary of users."""

    @property
    def movie_titles(self) -> Sequence[str]:
        """The vocabulary of titles."""

    @property
    def known(self) -> np.ndarray:
        """`bool[users + 1]`: whether the row was trained on any interaction."""

    @property
    def user_tables(self) -> Sequence[np.ndarray]:
        """All that the model knows of users: `float32[users + 1, ..]` each, as a `UserTables` of the recommender."""

    def without_users(self) -> Weights:
        """The same with nobody in the vocabulary of users; of the tables, row 0 stays."""

    def arrays(self) -> Iterator[np.ndarray]:
        """All that the model computes with, always in the same order."""
