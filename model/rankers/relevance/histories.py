"""Watch histories as arrays: which titles each user watched, in the order of time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from model.contract import TIMESTAMP
from model.data.interactions import row_hashes
from model.data.vocabulary import Vocabulary


@dataclass(frozen=True)
class Histories:
    """Interactions in the order of users, and for each user in the order of time, oldest first."""

    user: np.ndarray
    """`int64[rows]`, the index of each interaction's user, rising."""
    title: np.ndarray
    """`int64[rows]`, the index of its title."""
    users: int
    titles: int

    @property
    def lengths(self) -> np.ndarray:
        """`int64[users]`: the interactions of each user."""
        return np.bincount(self.user, minlength=self.users)

    @property
    def counts(self) -> np.ndarray:
        """`int64[titles]`: the interactions with each title."""
        return np.bincount(self.title, minlength=self.titles)

    @property
    def age(self) -> np.ndarray:
        """`int64[rows]`: how many later interactions the user has; 0 for the latest of each user."""
        ends = np.cumsum(self.lengths)
        return ends[self.user] - 1 - np.arange(len(self.user))


def histories_of(table: pa.Table, vocabulary: Vocabulary) -> Histories:
    """Put interactions into the order of time; those of one second into a random order that depends only on them.

    Their order by name or by index in the vocabulary would tell the model something that is not so.

    Args:
      table: interactions, in any order.
      vocabulary: holds every user and title of `table`.
    """
    user = vocabulary.user_index(table).astype(np.int64)
    title = vocabulary.title_index(table).astype(np.int64)
    order = np.lexsort((row_hashes(table), table[TIMESTAMP].to_numpy(), user))
    return Histories(user[order], title[order], len(vocabulary.users), len(vocabulary.titles))
