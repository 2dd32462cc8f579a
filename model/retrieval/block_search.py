"""Find the best candidates of many users, block by block, with bounded memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.contract import USER_RATING
from model.retrieval.blocks import BlockRater, BlockTopK, SearchSizes, Seen, ceil_div, pad_to

BLOCKS_IN_PARALLEL = 8
"""Blocks that TensorFlow may work on at once. With one thread for each operation and one operation for each core,
whole blocks run side by side, which uses the cores better than threads inside one small matrix product do."""


class Request(NamedTuple):
    """What is asked about B users; see `Recommender.recommend`."""

    candidates: tf.Tensor
    """`string[M]`"""
    seen_values: tf.Tensor
    """`int32[S]`"""
    seen_row_splits: tf.Tensor
    """`int64[B + 1]`"""
    k: tf.Tensor
    """`int32`"""


REQUEST_SPECS = (
    tf.TensorSpec([None], tf.string, "candidates"),
    tf.TensorSpec([None], tf.int32, "seen_values"),
    tf.TensorSpec([None], tf.int64, "seen_row_splits"),
    tf.TensorSpec([], tf.int32, "k"),
)


def check_request(user_rows: tf.Tensor, request: Request) -> tuple[tf.Tensor, Request]:
    """The user rows, `int32[B]`, and the request, once the request is known to be valid.

    Raises:
      InvalidArgumentError: k is negative, `seen_row_splits` has the wrong length, or a seen index is out of range.
    """
    with tf.control_dependencies(
        [
            tf.debugging.assert_non_negative(request.k, "k is negative"),
            tf.debugging.assert_equal(
                tf.size(request.seen_row_splits),
                tf.size(user_rows) + 1,
                "seen_row_splits is not one longer than user_id or user_vector",
            ),
            tf.debugging.assert_non_negative(request.seen_values, "seen_values has a negative index"),
            tf.debugging.assert_less(
                request.seen_values, tf.size(request.candidates), "seen_values has an index past the last candidate"
            ),
        ]
    ):
        # The search waits for these checks. Otherwise it would fail first, with a message that says less.
        return tf.identity(user_rows), request._replace(k=tf.identity(request.k))


def most_seen(request: Request) -> tf.Tensor:
    """The most candidates that any one user has seen, `int32`."""
    lengths = request.seen_row_splits[1:] - request.seen_row_splits[:-1]
    return tf.cast(tf.reduce_max(tf.concat([[0], lengths], axis=0)), tf.int32)


def search_blocks(
    user_rows: tf.Tensor, request: Request, sizes: SearchSizes, top_k: BlockTopK, rate: BlockRater | None
) -> dict[str, tf.Tensor]:
    """Find the k best candidates of each user.

    Args:
      user_rows: `int32[B]`.
      request: a valid one.
      sizes: of this search.
      top_k: finds the best candidates of a block.
      rate: rates what `top_k` found; None where the scores are the ratings.

    Returns:
      `index: int32[B, k]`, `score: float32[B, k]` and `user_rating: float32[B, k]`; -1, -inf and -inf where fewer than
      k candidates are left.
    """
    asked, block, depth = tf.size(user_rows), sizes.block, sizes.depth
    blocks = tf.maximum(1, ceil_div(asked, block))
    user_rows = pad_to(blocks * block, user_rows, filler=0)
    row_splits = pad_to(blocks * block + 1, request.seen_row_splits, filler=request.seen_row_splits[-1])

    def search_block(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        first = number * block
        rows, splits = user_rows[first : first + block], row_splits[first : first + block + 1]
        score, index = top_k(rows, Seen(request.seen_values[splits[0] : splits[-1]], splits - splits[0]))
        index = tf.where(score == -np.inf, -1, index)
        rating = rate(rows, tf.maximum(index, 0)) if rate else score
        return score, index, rating

    found = tf.map_fn(
        search_block,
        tf.range(blocks),
        fn_output_signature=(tf.float32, tf.int32, tf.float32),
        parallel_iterations=BLOCKS_IN_PARALLEL,
    )
    padding = [[0, 0], [0, request.k - depth]]
    score, index, rating = (
        tf.pad(tf.reshape(values, [blocks * block, depth])[:asked], padding, constant_values=nothing)
        for values, nothing in zip(found, (-np.inf, -1, -np.inf), strict=True)
    )
    return {"index": index, "score": score, USER_RATING: rating}
