"""The units of a search for recommendations: blocks of users and chunks of candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

TopK = tuple[tf.Tensor, tf.Tensor]
"""Scores, `float32[users, depth]`, and candidates, `int32[users, depth]`, of each user's best candidates: higher
scores first, equal scores by candidate index. The score is -inf where the candidate was seen."""

ChunkScorer = Callable[[tf.Tensor], tf.Tensor]
"""The index of the first candidate of a chunk -> the scores of the block's users, `float32[block, chunk]`."""
BlockScorer = Callable[[tf.Tensor], ChunkScorer]
"""The rows of a block's users, `int32[block]` -> their `ChunkScorer`."""


class Seen(NamedTuple):
    """The candidates that each user of a block has seen and must not get, as a ragged array."""

    values: tf.Tensor
    """`int32[S]`, indices of candidates, user after user."""
    row_splits: tf.Tensor
    """`int64[block + 1]`, where each user's values begin and end; the first is 0."""

    @staticmethod
    def nothing(block: tf.Tensor | int) -> Seen:
        """For users who have seen nothing."""
        return Seen(tf.zeros([0], tf.int32), tf.zeros([block + 1], tf.int64))

    def row(self, user: tf.Tensor) -> Seen:
        """The part of one user of the block."""
        first, past = self.row_splits[user], self.row_splits[user + 1]
        return Seen(self.values[first:past], tf.stack([0, past - first]))

    def mask(self, first: tf.Tensor | int, count: tf.Tensor) -> tf.Tensor:
        """`bfloat16[block, count]` for `count` candidates from `first` on: -inf where the user has seen it, else 0."""
        users = tf.size(self.row_splits) - 1
        # A range for each user, with the user's number in its upper 32 bits: three times as fast as `tf.repeat`.
        starts = tf.bitwise.left_shift(tf.range(tf.cast(users, tf.int64)), 32)
        numbered = tf.raw_ops.RaggedRange(
            starts=starts, limits=starts + self.row_splits[1:] - self.row_splits[:-1], deltas=tf.constant(1, tf.int64)
        )
        user = tf.cast(tf.bitwise.right_shift(numbered.rt_dense_values, 32), tf.int32)
        index = self.values - first
        # Values outside the range go to an extra row, which is cut off. A scatter takes six times as long.
        inside = (index >= 0) & (index < count)
        marks = tf.raw_ops.SparseToDense(
            sparse_indices=tf.where(inside, user * count + index, users * count),
            output_shape=tf.reshape((users + 1) * count, [1]),
            sparse_values=tf.constant(-np.inf, tf.bfloat16),
            default_value=tf.constant(0, tf.bfloat16),
            validate_indices=False,
        )
        return tf.reshape(marks, [users + 1, count])[:users]


BlockTopK = Callable[[tf.Tensor, Seen], TopK]
"""The rows of a block's users, `int32[block]`, and what they have seen -> their `TopK`."""

BlockRater = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""The rows of a block's users, `int32[block]`, and indices of candidates, `int32[block, depth]` -> predicted ratings,
`float32[block, depth]`."""


@dataclass(frozen=True)
class SearchSizes:
    """The sizes of one search, each an `int32` scalar."""

    block: tf.Tensor
    """Users in a block."""
    chunk: tf.Tensor
    """Candidates that are scored at once."""
    count: tf.Tensor
    """Candidates of the request. The rows of candidates are padded to a multiple of `chunk`."""
    depth: tf.Tensor
    """Candidates to find for each user: k, but at most `count`."""
    most_seen: tf.Tensor
    """The most candidates that any one user has seen."""


def score_all(score_chunk: ChunkScorer, sizes: SearchSizes) -> tf.Tensor:
    """The scores of all candidates, `float32[users, count]`, computed chunk by chunk."""
    chunks = tf.maximum(1, ceil_div(sizes.count, sizes.chunk))
    starts = tf.range(chunks) * sizes.chunk
    parts = tf.map_fn(score_chunk, starts, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), [-1, chunks * sizes.chunk])[:, : sizes.count]


def mask_seen(scores: tf.Tensor, seen: Seen) -> tf.Tensor:
    """The scores, `float32[users, count]`, with -inf where a user has seen a candidate, whatever its score was."""
    return tf.where(seen.mask(0, tf.shape(scores)[1]) == 0, scores, -np.inf)


def ceil_div(dividend: tf.Tensor, divisor: tf.Tensor | int) -> tf.Tensor:
    """The quotient, rounded up."""
    return (dividend + divisor - 1) // divisor


def pad_to(size: tf.Tensor | int, values: tf.Tensor, filler: tf.Tensor | int | str = "") -> tf.Tensor:
    """The vector `values`, extended with `filler` to at least `size` entries."""
    missing = tf.maximum(0, size - tf.size(values))
    return tf.concat([values, tf.fill([missing], tf.cast(filler, values.dtype))], axis=0)
