"""The question that recommenders are measured by: for each user, what they had and what they should be shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.contract import MOVIE_TITLE, USER_ID
from model.data.splits import Split
from model.evaluation.interaction_matrix import InteractionMatrix, Ragged, distinct
from model.evaluation.top_n import Recommend

SCORES_A_BLOCK = 1 << 24
"""Users are asked about in blocks of at most so many scores, 64 MiB as float32."""
USERS_A_BLOCK = 8_192


@dataclass(frozen=True)
class HeldOut:
    """The users of a split's test part who have a relevant title, U of them, sorted by id."""

    users: pa.Array
    """`string[U]`"""
    titles: pa.Array
    """`string[M]`, the whole catalogue: the titles of all parts, sorted."""
    seen: Ragged
    """U rows, the titles that each has in the train part; none of them is to be recommended."""
    relevant: Ragged
    """U rows, the titles that each has in the test part and not in the train part, whatever the rating; not empty."""
    owners: np.ndarray
    """`int64[M]`, how many users have each title in the train part."""
    train_users: int
    test_users: int
    """Of the test part, those without a relevant title among them."""
    eligible_users: int
    """Those with a relevant title; more than U where they were sampled."""
    already_had: int
    """Pairs of the test part that are not relevant, because the user had the title in the train part."""

    @classmethod
    def of(cls, split: Split, max_users: int | None = None, seed: int = 0) -> HeldOut:
        """The held-out titles of a split, of `max_users` users drawn by `seed` where there are more of them."""
        titles = distinct(pa.chunked_array([c for part in split.parts.values() for c in part[MOVIE_TITLE].chunks]))
        owned = InteractionMatrix.of(split.train, distinct(split.train[USER_ID]), titles)
        users = distinct(split.test[USER_ID])
        tested = InteractionMatrix.of(split.test, users, titles).rows
        seen = owned.rows_of(users)
        repeated = _in_sorted(_keys(tested, len(titles)), _keys(seen, len(titles)))
        relevant = tested.where(~repeated)
        eligible = np.flatnonzero(relevant.lengths)
        kept = eligible
        if max_users is not None and max_users < len(eligible):
            kept = np.sort(np.random.default_rng(seed).choice(eligible, max_users, replace=False))
        return cls(
            users=users.take(pa.array(kept)),
            titles=titles,
            seen=seen.take(kept),
            relevant=relevant.take(kept),
            owners=owned.title_counts,
            train_users=len(owned.users),
            test_users=len(users),
            eligible_users=len(eligible),
            already_had=int(repeated.sum()),
        )

    def ask(self, recommend: Recommend, k: int) -> np.ndarray:
        """The lists that `recommend` gives, `int32[U, k]`, asked for in blocks so that memory stays bounded."""
        index = np.empty((len(self.users), k), np.int32)
        for start, stop in self._blocks():
            seen = self.seen.slice(start, stop)
            users = self.users.slice(start, stop - start)
            index[start:stop] = recommend(users, self.titles, seen.values, seen.row_splits, k)
        return index

    def _blocks(self) -> Iterator[tuple[int, int]]:
        size = max(1, min(USERS_A_BLOCK, SCORES_A_BLOCK // max(1, len(self.titles))))
        for start in range(0, len(self.users), size):
            yield start, min(start + size, len(self.users))


def _keys(rows: Ragged, titles: int) -> np.ndarray:
    """`int64[S]`, a number for each pair of a row and a title, rising."""
    return rows.row_numbers * titles + rows.values


def _in_sorted(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """`bool[len(keys)]`: whether each is in `among`, which rises."""
    if not len(among):
        return np.zeros(len(keys), bool)
    return among[np.minimum(np.searchsorted(among, keys), len(among) - 1)] == keys
