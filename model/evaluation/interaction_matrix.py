"""Which user has which title, as a sparse matrix: what metrics and baselines count on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.sparse import coo_array, csr_array

from model.contract import MOVIE_TITLE, USER_ID


@dataclass(frozen=True)
class InteractionMatrix:
    """Each pair of a user and a title once, however often it occurred."""

    users: pa.Array
    """`string[U]`, distinct."""
    titles: pa.Array
    """`string[M]`, distinct."""
    pairs: csr_array
    """`bool[U, M]`, True where a user has a title. Column numbers rise within a row and nothing False is stored, so
    `indices` and `indptr` are the `seen_values` and `seen_row_splits` of a `Recommend`."""

    @classmethod
    def of(cls, table: pa.Table, users: pa.Array, titles: pa.Array) -> InteractionMatrix:
        """The pairs in `table`; rows of other users or titles than those given are dropped."""
        user, title = lookup(table[USER_ID], users), lookup(table[MOVIE_TITLE], titles)
        kept = (user >= 0) & (title >= 0)
        where = user[kept], title[kept]
        pairs = coo_array((np.ones(len(where[0]), bool), where), (len(users), len(titles))).tocsr()
        # This sorts the column numbers too.
        pairs.sum_duplicates()
        return cls(users, titles, pairs)

    @property
    def title_counts(self) -> np.ndarray:
        """`int64[M]`: how many users have each title."""
        return np.bincount(self.pairs.indices, minlength=len(self.titles))


def row_lengths(pairs: csr_array) -> np.ndarray:
    """`int[U]`: how many entries each row has."""
    return np.diff(pairs.indptr)


def lookup(words: pa.Array | pa.ChunkedArray, among: pa.Array) -> np.ndarray:
    """`int32[len(words)]`: the index of each word in `among`, -1 where it is missing."""
    return pc.fill_null(pc.index_in(words, value_set=among), -1).to_numpy()


def distinct(column: pa.ChunkedArray) -> pa.Array:
    """The words of a column, each once, sorted by their UTF-8 bytes."""
    return pc.unique(column).sort()
