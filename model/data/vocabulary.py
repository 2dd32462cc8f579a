"""The users and titles that a model has rows for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.contract import MOVIE_TITLE, USER_ID


@dataclass(frozen=True)
class Vocabulary:
    """Every user and title that a model has a row for, sorted by their UTF-8 bytes."""

    users: Sequence[str]
    titles: Sequence[str]

    @classmethod
    def of(cls, table: pa.Table) -> Vocabulary:
        """The users and titles of `table`, whichever part of a split a row is in, as the article has it."""
        return cls(distinct(table[USER_ID]), distinct(table[MOVIE_TITLE]))

    def user_index(self, table: pa.Table) -> np.ndarray:
        """`int32[rows]`: the index in `users` of each interaction's user; -1 for one that is not there."""
        return index_of(table[USER_ID], self.users)

    def title_index(self, table: pa.Table) -> np.ndarray:
        """`int32[rows]`: the index in `titles` of each interaction's title; -1 for one that is not there."""
        return index_of(table[MOVIE_TITLE], self.titles)


def distinct(column: pa.ChunkedArray) -> list[str]:
    """The distinct strings of `column`, sorted by their UTF-8 bytes."""
    return pc.unique(column).sort().to_pylist()


def index_of(column: pa.ChunkedArray, words: Sequence[str]) -> np.ndarray:
    """`int32[len(column)]`: the index of each string in `words`; -1 for one that is not there."""
    return pc.fill_null(pc.index_in(column, value_set=pa.array(words, pa.string())), -1).to_numpy()
