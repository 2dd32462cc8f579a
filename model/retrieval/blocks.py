"""How a recommender's work is divided: blocks of users against chunks of candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import tensorflow as tf

UserTables = Sequence[tf.Tensor]
"""`float32[users, ..]` each, the vectors of users: first what scores are made of, last what ratings are made of. The
model's own, or tables of vectors that it was given; rows of users are rows of these."""
ChunkScorer = Callable[[tf.Tensor], tf.Tensor]
"""The first position of a chunk of candidates -> `float32[block, chunk]`, the scores of a block's users."""
BlockScorer = Callable[[tf.Tensor], ChunkScorer]
"""Rows of a block's users, `int32[block]` -> their `ChunkScorer`."""


class Seen(NamedTuple):
    """What each user of a block has seen and must not get."""

    positions: tf.Tensor
    """`int32[S]`, in the candidates, user after user."""
    splits: tf.Tensor
    """`int64[block + 1]`, where each user's positions begin and end; the first is 0."""

    @staticmethod
    def nothing(block: tf.Tensor | int) -> Seen:
        """What users have seen who have seen nothing."""
        return Seen(tf.zeros([0], tf.int32), tf.zeros([block + 1], tf.int64))

    def of_user(self, place: tf.Tensor) -> Seen:
        """The same of one user of the block."""
        first, past = self.splits[place], self.splits[place + 1]
        return Seen(self.positions[first:past], tf.stack([0, past - first]))

    def mask(self, first: tf.Tensor | int, count: tf.Tensor) -> tf.Tensor:
        """`bfloat16[block, count]`, of the candidates from `first` on: -inf where the user has seen it, and else 0."""
        users = tf.size(self.splits) - 1
        # The place of the user in the upper half, counted up in the lower one: a third of what `tf.repeat` takes.
        starts = tf.bitwise.left_shift(tf.range(tf.cast(users, tf.int64)), 32)
        counted = tf.raw_ops.RaggedRange(
            starts=starts, limits=starts + self.splits[1:] - self.splits[:-1], deltas=tf.constant(1, tf.int64)
        )
        place = tf.cast(tf.bitwise.right_shift(counted.rt_dense_values, 32), tf.int32)
        position = self.positions - first
        # What is not among them goes to a row that is cut off. A scatter takes six times as long.
        here = (position >= 0) & (position < count)
        marks = tf.raw_ops.SparseToDense(
            sparse_indices=tf.where(here, place * count + position, users * count),
            output_shape=tf.reshape((users + 1) * count, [1]),
            sparse_values=tf.constant(-np.inf, tf.bfloat16),
            default_value=tf.constant(0, tf.bfloat16),
            validate_indices=False,
        )
        return tf.reshape(marks, [users + 1, count])[:users]


BlockChooser = Callable[[tf.Tensor, Seen], tuple[tf.Tensor, tf.Tensor]]
"""Rows of a block's users, `int32[block]`, and what they have seen -> scores, `float32[block, depth]`, and positions,
`int32[block, depth]`, of each user's best candidates in the order that `recommend` promises; a seen one has the score
-inf."""

BlockRater = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Rows of a block's users, `int32[block]`, and positions of candidates, `int32[block, depth]` -> predicted ratings,
`float32[block, depth]`."""


@dataclass(frozen=True)
class Shape:
    """Sizes of one call of `recommend`, each an `int32` scalar."""

    block: tf.Tensor
    """Users that one step works on."""
    chunk: tf.Tensor
    """Candidates that one step scores at once."""
    count: tf.Tensor
    """Candidates that there are; what is beyond them in `title_rows` is padding, up to a multiple of `chunk`."""
    depth: tf.Tensor
    """Candidates that are kept of each user, at most `count`."""
    most_seen: tf.Tensor
    """Candidates that any one user has seen, at most."""


def all_scores(score_chunk: ChunkScorer, shape: Shape) -> tf.Tensor:
    """The scores of all candidates, `float32[users, count]`, from those of chunks of them, one after the other."""
    chunks = tf.maximum(1, ceil_div(shape.count, shape.chunk))
    starts = tf.range(chunks) * shape.chunk
    parts = tf.map_fn(score_chunk, starts, fn_output_signature=tf.float32, parallel_iterations=1)
    return tf.reshape(tf.transpose(parts, [1, 0, 2]), [-1, chunks * shape.chunk])[:, : shape.count]


def without(seen: Seen, scores: tf.Tensor) -> tf.Tensor:
    """`float32[users, count]`, -inf where a user has seen a candidate, whatever its score."""
    return tf.where(seen.mask(0, tf.shape(scores)[1]) == 0, scores, -np.inf)


def ceil_div(dividend: tf.Tensor, divisor: tf.Tensor | int) -> tf.Tensor:
    """The quotient, rounded up."""
    return (dividend + divisor - 1) // divisor


def at_least(size: tf.Tensor | int, values: tf.Tensor, filler: tf.Tensor | int | str = "") -> tf.Tensor:
    """`values`, made longer to `size` with `filler` where it is shorter."""
    short = tf.maximum(0, size - tf.size(values))
    return tf.concat([values, tf.fill([short], tf.cast(filler, values.dtype))], axis=0)
