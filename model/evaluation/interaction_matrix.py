"""Which user has which title, in compressed sparse rows: what metrics and baselines count on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.contract import MOVIE_TITLE, USER_ID


@dataclass(frozen=True)
class Ragged:
    """Rows of unequal length, as the `recommend` signature takes what users have seen."""

    values: np.ndarray
    """`int32[S]`, the rows one after the other."""
    row_splits: np.ndarray
    """`int64[B + 1]`; row b is `values[row_splits[b]:row_splits[b + 1]]`."""

    @property
    def lengths(self) -> np.ndarray:
        """`int64[B]`, the length of each row."""
        return np.diff(self.row_splits)

    @property
    def row_numbers(self) -> np.ndarray:
        """`int64[S]`, the row that each value stands in."""
        return np.repeat(np.arange(len(self.row_splits) - 1), self.lengths)

    def slice(self, start: int, stop: int) -> Ragged:
        """Rows `start` to `stop`, that one not among them."""
        splits = self.row_splits[start : stop + 1]
        return Ragged(self.values[splits[0] : splits[-1]], splits - splits[0])

    def take(self, rows: np.ndarray) -> Ragged:
        """`rows` in their order; a row of -1 is empty."""
        known = rows >= 0
        first = np.where(known, self.row_splits[rows], 0)
        lengths = np.where(known, self.lengths[rows] if len(self.row_splits) > 1 else 0, 0)
        splits = _splits(lengths)
        places = np.repeat(first - splits[:-1], lengths) + np.arange(splits[-1])
        return Ragged(self.values[places], splits)

    def where(self, kept: np.ndarray) -> Ragged:
        """The values for which `kept`, `bool[S]`, holds; every row stays, if perhaps empty."""
        lengths = np.bincount(self.row_numbers[kept], minlength=len(self.row_splits) - 1)
        return Ragged(self.values[kept], _splits(lengths))


@dataclass(frozen=True)
class InteractionMatrix:
    """Each pair of a user and a title once, however often it occurred."""

    users: pa.Array
    """`string[U]`, distinct."""
    titles: pa.Array
    """`string[M]`, distinct."""
    rows: Ragged
    """The titles of each user as positions in `titles`, rising within a user."""

    @classmethod
    def of(cls, table: pa.Table, users: pa.Array, titles: pa.Array) -> InteractionMatrix:
        """The pairs in `table`; rows of other users or titles than those given are left out."""
        keys = pair_keys(table, users, titles)
        # Sorted rather than by np.unique, whose hash table takes twenty times as long on ten million pairs.
        keys = np.sort(keys[keys >= 0])
        user, title = np.divmod(keys[np.diff(keys, prepend=-1) > 0], max(1, len(titles)))
        lengths = np.bincount(user, minlength=len(users))
        return cls(users, titles, Ragged(title.astype(np.int32), _splits(lengths)))

    @property
    def title_counts(self) -> np.ndarray:
        """`int64[M]`, how many users have each title."""
        return np.bincount(self.rows.values, minlength=len(self.titles))

    def rows_of(self, user_ids: pa.Array) -> Ragged:
        """The titles of each of `user_ids`; none for a user who is not here."""
        return self.rows.take(positions(user_ids, self.users))


def pair_keys(table: pa.Table, users: pa.Array, titles: pa.Array) -> np.ndarray:
    """`int64[rows]`: user position x titles + title position, a number for each pair; -1 where either is not given."""
    user, title = positions(table[USER_ID], users), positions(table[MOVIE_TITLE], titles)
    return np.where((user >= 0) & (title >= 0), user.astype(np.int64) * len(titles) + title, -1)


def positions(words: pa.Array | pa.ChunkedArray, among: pa.Array) -> np.ndarray:
    """`int32[len(words)]`: where each word stands in `among`, -1 where it does not."""
    return pc.fill_null(pc.index_in(words, value_set=among), -1).to_numpy()


def distinct(column: pa.ChunkedArray) -> pa.Array:
    """The words of a column, each once, sorted by their UTF-8 bytes."""
    return pc.unique(column).sort()


def _splits(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
