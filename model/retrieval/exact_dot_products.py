"""Dot products whose bits depend on the two vectors alone: not on a compiler, nor on the pairs computed beside them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from model.retrieval.blocks import ceil_div

PAIRS_PER_BATCH = 1 << 13
"""Pairs that are scored exactly at once."""
MIN_LANES, MAX_PER_LANE = 8, 15
"""A pair's products are added up in lanes, side by side. With more products in a lane, XLA would first add some of
them in an order of its own."""


def pad_to_lanes(vectors: tf.Tensor) -> tf.Tensor:
    """`float32[N, D]` as `exact_scores` takes them: with leading zeros, so that they fill whole lanes."""
    return tf.pad(vectors, [[0, 0], [-vectors.shape[1] % _lanes(vectors.shape[1]), 0]])


def _lanes(dimension: int) -> int:
    lanes = MIN_LANES
    while dimension > MAX_PER_LANE * lanes:
        lanes *= 2
    return lanes


def exact_scores(users: tf.Tensor, user_rows: tf.Tensor, titles: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
    """The dot products of rows, `int32[P]` each, of two tables from `pad_to_lanes`: `float32[P]`.

    The function is compiled for each P and each size of a table. It still has the bits of `sum_products`.
    """
    # Always 0, but the compiler cannot know that.
    zero = tf.bitwise.right_shift(tf.size(user_rows), 31)
    return _exact_scores(users, user_rows, titles, title_rows, zero)


@tf.function(jit_compile=True)
def _exact_scores(
    users: tf.Tensor, user_rows: tf.Tensor, titles: tf.Tensor, title_rows: tf.Tensor, zero: tf.Tensor
) -> tf.Tensor:
    products = tf.gather(users, user_rows) * tf.gather(titles, title_rows)
    # The xor keeps the compiler from fusing product and sum into one instruction, which would round only once.
    return sum_products(tf.bitcast(tf.bitcast(products, tf.int32) ^ zero, tf.float32))


def sum_products(products: tf.Tensor) -> tf.Tensor:
    """The sum of each row, `float32[P, D]` padded by `pad_to_lanes` -> `float32[P]`, in a fixed order.

    So the bits of a sum depend neither on the other rows nor on whether the function is compiled.
    """
    lanes = _lanes(products.shape[1])
    sums = tf.reduce_sum(tf.reshape(products, [-1, products.shape[1] // lanes, lanes]), axis=1)
    while lanes > 1:
        lanes //= 2
        sums = sums[:, :lanes] + sums[:, lanes:]
    return sums[:, 0]


def in_batches(
    score: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    user_rows: tf.Tensor,
    title_rows: tf.Tensor,
    full: bool = False,
) -> tf.Tensor:
    """Call `score` on rows, `int32[P]` each, in batches of at most `PAIRS_PER_BATCH`: `float32[P]`.

    The batches have equal sizes. If `full`, each has exactly `PAIRS_PER_BATCH` pairs, padded with rows 0.
    """
    pairs = tf.size(user_rows)
    batches = tf.maximum(1, ceil_div(pairs, PAIRS_PER_BATCH))
    size = PAIRS_PER_BATCH if full else ceil_div(pairs, batches)
    padding = [[0, batches * size - pairs]]
    scores = tf.map_fn(
        lambda rows: score(*rows),
        [tf.reshape(tf.pad(rows, padding), [batches, size]) for rows in (user_rows, title_rows)],
        fn_output_signature=tf.float32,
        parallel_iterations=1,
    )
    return tf.reshape(scores, [-1])[:pairs]
