"""What a recommender is to whoever measures it, and the k best of scores in the one total order, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa

Recommend = Callable[[pa.Array, pa.Array, np.ndarray, np.ndarray, int], np.ndarray]
"""The `recommend` signature of the SavedModel as a plain function.

`user_ids: string[B]`, `titles: string[M]`, `seen_values: int32[S]` and `seen_row_splits: int64[B + 1]` (positions in
`titles` that user b must not get), `k` -> `int32[B, k]`, positions in `titles`, best first, by score falling, then
position rising; -1 where fewer than k remain."""


def best_unseen(scores: np.ndarray, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int) -> np.ndarray:
    """`float32[B, M]` scores without NaN -> `int32[B, k]`, the result of a `Recommend`. Changes `scores`.

    Score and position become one whole number that sorts as the order is defined: a partition by score alone would
    leave it to chance which of several equal titles is kept.
    """
    users, count = scores.shape
    scores[np.repeat(np.arange(users), np.diff(seen_row_splits)), seen_values] = -np.inf
    # Adding zero turns -0.0 into 0.0, which is equal to it but has other bits.
    bits = (scores + np.float32(0)).view(np.int32).astype(np.int64)
    # Negative floats have bits that rise as the number falls.
    keys = ((bits ^ ((bits >> 31) & 0x7FFFFFFF)) << 32) | (count - 1 - np.arange(count))
    depth = min(k, count)
    if depth < count:
        keys = np.partition(keys, count - depth, axis=1)[:, count - depth :]
    keys = -np.sort(-keys, axis=1)
    index = (count - 1 - (keys & 0xFFFFFFFF)).astype(np.int32)
    index[np.take_along_axis(scores, index, axis=1) == -np.inf] = -1
    return np.pad(index, [(0, 0), (0, k - depth)], constant_values=-1)


def best_of_order(order: np.ndarray, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int) -> np.ndarray:
    """One order for all users, `int[M]` positions best first -> `int32[B, k]`, the first k that each has not seen."""
    seen_counts = np.diff(seen_row_splits)
    users = len(seen_counts)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    # Nobody's list reaches further down than k titles and as many as the user has seen.
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
