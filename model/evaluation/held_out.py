"""What recommenders are asked: for each user, the titles that they have and those that a list should hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from model.contract import MOVIE_TITLE, USER_ID
from model.data.splits import Split
from model.evaluation.interaction_matrix import InteractionMatrix, distinct, row_lengths
from model.evaluation.top_n import Recommend

SCORES_A_BLOCK = 1 << 24
"""Users are asked about in blocks of at most this many scores, 64 MiB as float32."""
USERS_A_BLOCK = 8_192


@dataclass(frozen=True)
class HeldOut:
    """The users of a split's test part who have a relevant title, U of them, sorted by id."""

    users: pa.Array
    """`string[U]`"""
    titles: pa.Array
    """`string[M]`, the whole catalogue: the titles of all parts, sorted."""
    seen: csr_array
    """`bool[U, M]`: the titles that each user has in the train part; none of them may be recommended."""
    relevant: csr_array
    """`bool[U, M]`: the titles that each user has in the test part and not in the train part, whatever the rating.
    No row is empty."""
    owners: np.ndarray
    """`int64[M]`: how many users have each title in the train part."""
    train_users: int
    test_users: int
    """All users of the test part, with or without a relevant title."""
    eligible_users: int
    """Those with a relevant title; more than U where they were sampled."""
    already_had: int
    """Pairs of the test part that are not relevant, because the user had the title in the train part."""

    @classmethod
    def of(cls, split: Split, max_users: int | None = None, seed: int = 0) -> HeldOut:
        """The held-out titles of a split; of `max_users` users drawn by `seed` where there are more."""
        titles = _distinct_in_all(split, MOVIE_TITLE)
        users = _distinct_in_all(split, USER_ID)
        train = InteractionMatrix.of(split.train, users, titles)
        test = InteractionMatrix.of(split.test, users, titles)
        relevant = test.pairs > train.pairs
        eligible = np.flatnonzero(row_lengths(relevant))
        kept = eligible
        if max_users is not None and max_users < len(eligible):
            kept = np.sort(np.random.default_rng(seed).choice(eligible, max_users, replace=False))
        return cls(
            users=users.take(pa.array(kept)),
            titles=titles,
            seen=train.pairs[kept],
            relevant=relevant[kept],
            owners=train.title_counts,
            train_users=int(np.count_nonzero(row_lengths(train.pairs))),
            test_users=int(np.count_nonzero(row_lengths(test.pairs))),
            eligible_users=len(eligible),
            already_had=test.pairs.nnz - relevant.nnz,
        )

    def relevant_where(self, wanted: np.ndarray) -> csr_array:
        """`relevant` with only the titles for which `wanted`, `bool[M]`, holds; rows may become empty."""
        chosen = self.relevant.copy()
        chosen.data = wanted[chosen.indices]
        chosen.eliminate_zeros()
        return chosen

    def ask(self, recommend: Recommend, k: int) -> np.ndarray:
        """The lists that `recommend` gives, `int32[U, k]`, asked for in blocks so that memory stays bounded."""
        index = np.empty((len(self.users), k), np.int32)
        for start, stop in self._blocks():
            seen = self.seen[start:stop]
            users = self.users.slice(start, stop - start)
            index[start:stop] = recommend(users, self.titles, seen.indices, seen.indptr, k)
        return index

    def _blocks(self) -> Iterator[tuple[int, int]]:
        size = max(1, min(USERS_A_BLOCK, SCORES_A_BLOCK // max(1, len(self.titles))))
        for start in range(0, len(self.users), size):
            yield start, min(start + size, len(self.users))


def _distinct_in_all(split: Split, column: str) -> pa.Array:
    return distinct(pa.chunked_array([chunk for part in split.parts.values() for chunk in part[column].chunks]))
