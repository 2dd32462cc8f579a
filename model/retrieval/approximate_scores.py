"""Approximate dot products in bfloat16, a proven bound on their error, and the candidates that reach a threshold."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.retrieval.exact_dot_products import pad_to_lanes, sum_products
from model.retrieval.packed_integers import BITS_PER_WORD, pack_bits

THRESHOLD_STEPS = 10
"""Steps of the search for a threshold. Each halves the range that contains it."""

_EXCLUDED = -3.0e38
"""Replaces the bias of an excluded candidate. It is finite, because infinity times zero is NaN."""
_LOWEST = -1.0e38
"""More than the score of an excluded candidate and less than any other."""


class PreparedCandidates(NamedTuple):
    """M candidates in float32 and in bfloat16, and what bounds the error of bfloat16.

    The mean of the candidates is subtracted before they are rounded to bfloat16. That shifts all scores of a user by
    the same amount, so it changes no order.
    """

    vectors: tf.Tensor
    """`float32[M, D + zeros]`, from `pad_to_lanes`."""
    rounded: tf.Tensor
    """`bfloat16[chunks, M / chunks, D + 1]`, with the last component in two parts."""
    centre: tf.Tensor
    """`float32[D]`, the mean that was subtracted."""
    norms: tf.Tensor
    """`float32[4]`, the greatest norms among the centred candidates: of all components but the last, of the last, and
    of what rounding lost of each of these."""


def prepare_candidates(vectors: tf.Tensor, included: tf.Tensor, chunk: tf.Tensor) -> PreparedCandidates:
    """Prepare candidates `float32[M, D]`, M a multiple of `chunk`. Those not in `included: bool[M]` are never found.

    The last component holds biases, which are larger than the other components, and a user's last component is 1. It
    is kept with twice the precision.
    """
    uses = tf.cast(included, tf.float32)
    centre = tf.linalg.matvec(vectors, uses / tf.maximum(1.0, tf.reduce_sum(uses)), transpose_a=True)

    def prepare_chunk(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        here = slice(number * chunk, (number + 1) * chunk)
        found = included[here, None]
        centred = tf.where(found, vectors[here] - centre, 0.0)
        half = tf.cast(centred, tf.bfloat16)
        lost = centred - tf.cast(half, tf.float32)
        lower = tf.cast(lost[:, -1:], tf.bfloat16)
        lost_of_last = lost[:, -1:] - tf.cast(lower, tf.float32)
        norms = tf.stack(
            [
                tf.reduce_max(tf.norm(rows, axis=1))
                for rows in (centred[:, :-1], centred[:, -1:], lost[:, :-1], lost_of_last)
            ]
        )
        last = tf.where(found, half[:, -1:], tf.cast(_EXCLUDED, tf.bfloat16))
        return tf.concat([half[:, :-1], last, lower], axis=1), norms

    rounded, norms = tf.map_fn(
        prepare_chunk,
        tf.range(tf.size(included) // chunk),
        fn_output_signature=(tf.bfloat16, tf.float32),
        parallel_iterations=1,
    )
    return PreparedCandidates(pad_to_lanes(vectors), rounded, centre, tf.reduce_max(norms, axis=0))


@tf.function(jit_compile=True)
def prepare_users(vectors: tf.Tensor, centre: tf.Tensor, norms: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of users' vectors, `float32[B, D]`, against prepared candidates.

    Returns:
      The vectors from `pad_to_lanes`; what centring subtracted from their scores, `float32[B]`; and how far an
      approximate score can be from the exact centred score, `float32[B]`.
    """
    padded = pad_to_lanes(vectors)
    return padded, sum_products(padded * pad_to_lanes(centre[None])), _error_bound(vectors, centre, norms)


@tf.function(jit_compile=True)
def scan_first(
    vectors: tf.Tensor, rounded: tf.Tensor, mask: tf.Tensor, error: tf.Tensor, group: tf.Tensor, k: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """`scan` with thresholds that it finds by groups of `group` candidates, and returns as `float32[B]`."""
    scores = approximate_scores(vectors, rounded, mask)
    threshold = _threshold(scores, group, k) - 2 * error
    return _reached(scores, threshold), threshold


@tf.function(jit_compile=True)
def scan(vectors: tf.Tensor, rounded: tf.Tensor, mask: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    """One bit for each candidate, set if its score reaches the user's threshold.

    Args:
      vectors: `float32[B, D]`
      rounded: `bfloat16[C, D + 1]`
      mask: `bfloat16[B, C]`, -inf where the user has seen the candidate, else 0; or zeros, `bfloat16[1, 1]`.
      threshold: `float32[B]`

    Returns:
      Words from `pack_bits`, `int32[B, C / 32]`.
    """
    return _reached(approximate_scores(vectors, rounded, mask), threshold)


def approximate_scores(vectors: tf.Tensor, rounded: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """The scores, `float32[B, C]`: products of bfloat16, summed in float32. Arguments as for `scan`."""
    vectors = tf.cast(tf.concat([vectors, vectors[:, -1:]], axis=1), tf.bfloat16)
    return tf.matmul(vectors, rounded, transpose_b=True, output_type=tf.float32) + tf.cast(mask, tf.float32)


def _reached(scores: tf.Tensor, threshold: tf.Tensor) -> tf.Tensor:
    scores = tf.reshape(scores, [tf.shape(scores)[0], BITS_PER_WORD, -1])
    return pack_bits(scores >= tf.maximum(threshold, _LOWEST)[:, None, None])


def _error_bound(vectors: tf.Tensor, centre: tf.Tensor, norms: tf.Tensor) -> tf.Tensor:
    """See `prepare_users`.

    What rounding to bfloat16 lost is known, and its products are at most the products of norms (Cauchy-Schwarz). A sum
    of n products in float32 is off by at most about n 2^-24 of the sum of their magnitudes, in any order (Higham,
    "Accuracy and Stability of Numerical Algorithms", section 3.1), and that sum is at most the product of the norms.
    """
    others, last, lost_of_others, lost_of_last = tf.unstack(tf.ensure_shape(norms, [4]))
    # Rounded by its bits, because a compiler leaves out a conversion that is followed by its inverse.
    bits = tf.cast(tf.bitcast(tf.cast(vectors, tf.bfloat16), tf.uint16), tf.int32)
    half = tf.bitcast(tf.bitwise.left_shift(bits, 16), tf.float32)
    lost, half_norm = _norms(vectors - half), _norms(half[:, :-1])
    halving = lost * others + half_norm * lost_of_others + lost_of_last
    # The sums: the approximate scores, which have the last component, 1, twice; the exact scores; what centring
    # subtracted; and the thresholds made of these. All of it is taken twice. In bfloat16, no candidate is longer than
    # 1.01 times its length.
    longest = others + last
    lengths = 3 * longest + 4 * (longest + tf.norm(centre))
    summing = tf.cast(tf.shape(vectors)[1] + 16, tf.float32) * 2.0**-23 * (half_norm + lost + 2) * lengths
    # The last term is for products so small that they become 0.
    return 1.01 * (halving + summing) + 1e-30


def _norms(rows: tf.Tensor) -> tf.Tensor:
    """`float32[B, D]` -> `float32[B]`; adding up in lanes takes half of the time when compiled."""
    return tf.sqrt(sum_products(tf.square(pad_to_lanes(rows))))


def _threshold(scores: tf.Tensor, group: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """A score that at least k of each user's `float32[B, C]` reach, and few more: `float32[B]`.

    It is close to the k-th highest among the highest scores of groups. It is `_LOWEST` if there are fewer than k.
    """
    # Members of a group lie far apart, so the maxima of many groups are found side by side.
    highest = tf.reduce_max(tf.reshape(scores, [tf.shape(scores)[0], group, -1]), axis=1)
    real = highest > _LOWEST

    def enough_reach(threshold: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(highest >= threshold[:, None], tf.int32), axis=1) >= k

    def halve_range(number: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        middle = low + (high - low) / 2
        enough = enough_reach(middle)
        return number + 1, tf.where(enough, middle, low), tf.where(enough, high, middle)

    low = tf.reduce_min(tf.where(real, highest, np.inf), axis=1)
    _, low, _ = tf.while_loop(
        lambda number, *_: number < THRESHOLD_STEPS, halve_range, (0, low, tf.reduce_max(highest, axis=1))
    )
    return tf.where(enough_reach(low), low, _LOWEST)
