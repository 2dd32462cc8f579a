"""The type of a recommender, and the top k of scores in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

Recommend = Callable[[pa.Array, pa.Array, np.ndarray, np.ndarray, int], np.ndarray]
"""The `recommend` signature of the SavedModel as a plain function.

It takes `user_ids: string[B]`, `titles: string[M]`, `seen_values: int32[S]`, `seen_row_splits: int[B + 1]` and `k`.
User b must not get the titles numbered `seen_values[seen_row_splits[b]:seen_row_splits[b + 1]]`. It returns
`int32[B, k]`, numbers of titles, best first: higher scores first and, of equal scores, lower numbers first; -1 where
fewer than k remain."""


def best_unseen(scores: np.ndarray, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int) -> np.ndarray:
    """`float32[B, M]`, scores without NaN -> `int32[B, k]`, the result of a `Recommend`. Changes `scores`.

    Score and title number become one integer that sorts in the order of `Recommend`. A partition by score alone would
    keep arbitrary ones of several equal titles.
    """
    users, count = scores.shape
    scores[np.repeat(np.arange(users), np.diff(seen_row_splits)), seen_values] = -np.inf
    # Adding zero turns -0.0 into 0.0, which is equal but has different bits.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    # The bits of a negative float rise as the number falls.
    keys = ((bits ^ ((bits >> 31) & 0x7FFFFFFF)) << 32) | (count - 1 - np.arange(count))
    depth = min(k, count)
    if depth < count:
        keys = np.partition(keys, count - depth, axis=1)[:, count - depth :]
    keys = -np.sort(-keys, axis=1)
    index = (count - 1 - (keys & 0xFFFFFFFF)).astype(np.int32)
    index[np.take_along_axis(scores, index, axis=1) == -np.inf] = -1
    return np.pad(index, [(0, 0), (0, k - depth)], constant_values=-1)


def best_of_order(order: np.ndarray, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int) -> np.ndarray:
    """One order for all users, `int[M]`, best first -> `int32[B, k]`, the first k titles that each has not seen."""
    seen_counts = np.diff(seen_row_splits)
    users = len(seen_counts)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    # A list of k reaches at most k titles beyond those that the user has seen.
    reach = min(len(order), k + int(seen_counts.max(initial=0)))
    hidden = np.zeros((users, reach), bool)
    seen_place = place[seen_values]
    within = seen_place < reach
    hidden[np.repeat(np.arange(users), seen_counts)[within], seen_place[within]] = True
    rank = np.cumsum(~hidden, axis=1, dtype=np.int32)
    user, taken = np.nonzero(~hidden & (rank <= k))
    index = np.full((users, k), -1, np.int32)
    index[user, rank[user, taken] - 1] = order[taken]
    return index
