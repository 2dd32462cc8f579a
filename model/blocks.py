"""How a recommender's work is divided: blocks of users against chunks of candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

UserTables = Sequence[tf.Tensor]
"""`float32[users, ..]` each, the vectors of users: first what scores are made of, last what ratings are made of. The
model's own, or tables of vectors that it was given; rows of users are rows of these."""
ChunkScorer = Callable[[tf.Tensor], tf.Tensor]
"""The first position of a chunk of candidates -> `float32[block, chunk]`, the scores of a block's users."""
BlockScorer = Callable[[tf.Tensor], ChunkScorer]
"""Rows of a block's users, `int32[block]` -> their `ChunkScorer`."""
BlockChooser = Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
"""Rows of a block's users, `int32[block]`, and what they have seen, `int32[S, 2]`, pairs of a place in the block and a
position in the candidates -> scores, `float32[block, depth]`, and positions, `int32[block, depth]`, of each user's best
candidates in the order that `recommend` promises; a seen one has the score -inf."""


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


def without(seen: tf.Tensor, scores: tf.Tensor) -> tf.Tensor:
    """`float32[users, count]`, -inf where a user has seen a candidate; `seen` is as a `BlockChooser` takes it."""
    return tf.tensor_scatter_nd_update(scores, seen, tf.fill([tf.shape(seen)[0]], -np.inf))


def ceil_div(dividend: tf.Tensor, divisor: tf.Tensor | int) -> tf.Tensor:
    """The quotient, rounded up."""
    return (dividend + divisor - 1) // divisor


def at_least(size: tf.Tensor | int, values: tf.Tensor, filler: tf.Tensor | int | str = "") -> tf.Tensor:
    """`values`, made longer to `size` with `filler` where it is shorter."""
    short = tf.maximum(0, size - tf.size(values))
    return tf.concat([values, tf.fill([short], tf.cast(filler, values.dtype))], axis=0)
