"""Proven upper bounds on the scores of two dense layers, at a small part of the arithmetic of a score."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

UNIT_ROUNDOFF = 2.0**-24
"""Of float32, rounding to nearest."""
TINY = 1e-30
"""More than all that can be lost where a float32 is too small to be a normal number."""


class Enclosure(NamedTuple):
    """A region that contains the first-layer half of every candidate.

    The half of candidate c is `centre + y_c @ axes + r_c` with `|y_c| <= radius` and `|r_c| <= rest`, and lies in
    `[lowest, highest]`. `axes` is `float32[E, H1]`, `radius` is a scalar, and the others are `float32[H1]`.
    """

    lowest: tf.Tensor
    highest: tf.Tensor
    centre: tf.Tensor
    axes: tf.Tensor
    radius: tf.Tensor
    rest: tf.Tensor


def enclose(embeddings: tf.Tensor, kernel: tf.Tensor, halves: tf.Tensor) -> Enclosure:
    """Enclose candidates with `float32[M, E]` @ `float32[E, H1]` = `float32[M, H1]`, as computed.

    Along the axes the embeddings are white, so one radius fits all directions. The computation of the halves is not
    trusted: whatever the axes do not explain is measured and becomes `rest`. The radius is not finite if a candidate
    is not.
    """
    wide = tf.cast(embeddings, tf.float64)
    wide -= tf.reduce_mean(wide, axis=0)
    covariance = tf.matmul(wide, wide, transpose_a=True) / tf.cast(tf.shape(wide)[0], tf.float64)
    # eigh fails on numbers that are not finite, and without candidates there are no deviations.
    variances, vectors = tf.linalg.eigh(tf.where(tf.math.is_finite(covariance), covariance, 0.0))
    deviations = tf.sqrt(tf.maximum(variances, 1e-12 * variances[-1]) + TINY)
    white = tf.cast(tf.matmul(wide, vectors) / deviations, tf.float32)
    axes = tf.cast(tf.matmul(vectors * deviations, tf.cast(kernel, tf.float64), transpose_a=True), tf.float32)
    centre = tf.reduce_mean(halves, axis=0)
    lowest, highest = tf.reduce_min(halves, axis=0), tf.reduce_max(halves, axis=0)

    rounding = _rounding(embeddings.shape[1])
    radius = tf.reduce_max(_norm(white, axis=1)) * (1 + rounding)
    unexplained = tf.reduce_max(tf.abs(halves - centre - tf.matmul(white, axes)), axis=0)
    reach = tf.maximum(tf.abs(lowest), tf.abs(highest)) + tf.abs(centre) + radius * _norm(axes, axis=0)
    finite = tf.reduce_all(tf.math.is_finite(halves))
    radius = tf.where(finite, radius, float("inf"))
    return Enclosure(lowest, highest, centre, axes, radius, unexplained + rounding * reach + TINY)


def upper_bound(users_half: tf.Tensor, candidates: Enclosure, *layers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A linear function of the first layer, for each user, that is an upper bound on every score.

    Let h be the first layer after its activation, `relu(user's half + candidate's half)`. The score of every candidate
    in the enclosure is at most `constant + h @ slopes`. Both the score and this product are what float32 arithmetic
    yields, in whatever order it sums.

    A unit of the second layer is z = h @ w + b. If z has the same sign for all candidates of a user, its activation is
    z or 0, which is linear in h. Otherwise the activation lies between two lines, s z <= relu(z) <= s z + t. If the
    unit raises the score, the bound uses the upper line, else the lower one (Zhang et al., "Efficient neural network
    robustness certification with general activation functions", 2018; Singh et al., "An abstract domain for certifying
    neural networks", 2019).

    The range of z over the candidates comes from lines in the same way, around the first activation, with one slope
    for each unit. The result is linear in the y_c of the enclosure, so it varies by at most the radius times the norm
    of its coefficients.

    Rounding is bounded as in Higham, "Accuracy and Stability of Numerical Algorithms", 2002, section 3.1: a sum of n
    products is off by at most n u / (1 - n u) of the sum of their absolute values, in any order. This function adds
    twice that, with n larger than in any sum here, which also covers the rounding of the bound itself. The bound holds
    for float32 arithmetic, not for the lower precision that oneDNN may use if ONEDNN_DEFAULT_FPMATH_MODE is set.

    `docs/kernels.md` says how tight the bound is.

    Args:
      users_half: `float32[B, H1]`, with the bias of the first layer.
      candidates: what encloses the candidates.
      layers: kernel and bias of the second layer and of the third, `[H1, H2]`, `[H2]`, `[H2, 1]`, `[1]`.

    Returns:
      slopes, `float32[B, H1]`, and constant, `float32[B]`, which is not finite where nothing can be proven.
    """
    kernel, bias, last_kernel, last_bias = layers
    weight = last_kernel[:, 0]
    rounding = _rounding(kernel.shape[0], kernel.shape[1], candidates.axes.shape[0])

    # Rounding preserves order, so the computed sums of halves lie between these two.
    low, high = users_half + candidates.lowest, users_half + candidates.highest
    slope, intercept = _line_above(low, high)
    active = tf.nn.relu(high)
    middle = tf.matmul(slope * (users_half + candidates.centre) + intercept / 2, kernel) + bias
    coefficients = tf.matmul(candidates.axes * slope[:, tf.newaxis], kernel)
    norms = _norm(coefficients, axis=1)
    # Rounding in the middle and the coefficients, and then in the lines, in z as the model sums it, and in the halves.
    terms = slope * (
        tf.abs(users_half) + tf.abs(candidates.centre) + candidates.radius * _norm(candidates.axes, axis=0)
    )
    terms += intercept + active + tf.maximum(tf.abs(low), tf.abs(high))
    magnitude = tf.abs(kernel)
    half_width = candidates.radius * norms + tf.matmul(
        slope * candidates.rest + intercept / 2 + rounding * terms, magnitude
    )
    half_width = (half_width + rounding * (tf.abs(bias) + tf.abs(middle))) * (1 + rounding) + TINY

    # The computed z lies between these two.
    low, high = middle - half_width, middle + half_width
    positive = weight > 0
    slope, intercept = _line_above(low, high)
    slope = tf.where(positive, slope, tf.where(high > -low, 1.0, 0.0))
    intercept = tf.where(positive, intercept, 0.0)
    slopes = tf.matmul(slope * weight, kernel, transpose_b=True)
    constant = tf.linalg.matvec(slope * bias + intercept, weight) + last_bias
    # Rounding in z and in the products with the slopes, in the constant, and in the score as the model sums it.
    reached = tf.matmul(active, magnitude)
    terms = 2 * (reached + tf.abs(bias)) + intercept + tf.nn.relu(high)
    rounded = rounding * (tf.linalg.matvec(terms, tf.abs(weight)) + tf.abs(last_bias))
    # What underflows in a product of weights, and is then multiplied by the first layer or by a kernel.
    lost = TINY * (1 + tf.reduce_sum(active, axis=1) + tf.reduce_sum(reached, axis=1))
    return slopes, constant + rounded * (1 + rounding) + lost


def _line_above(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A slope in [0, 1] and an intercept with slope x <= relu(x) <= slope x + intercept for all x in [low, high].

    The intercept leaves out rounding, which is less than what callers add for terms of the size of `low` and `high`.
    """
    slope = tf.where(low >= 0, 1.0, tf.where(high <= 0, 0.0, tf.minimum(1.0, high / (high - low))))
    # A convex function is greatest at an end. This holds for any slope, so the rounding of the slope does not matter.
    return slope, tf.maximum(tf.nn.relu(low) - slope * low, tf.nn.relu(high) - slope * high)


def _norm(vectors: tf.Tensor, axis: int) -> tf.Tensor:
    """At least the Euclidean norm, although float32 squares of numbers below 1e-19 are 0."""
    return tf.sqrt(tf.reduce_sum(tf.square(vectors), axis=axis) + TINY)


def _rounding(*sizes: int) -> float:
    """Twice the relative rounding error of sums with so many terms, one after the other; see `upper_bound`."""
    terms = sum(sizes) + 32
    return 2 * terms * UNIT_ROUNDOFF / (1 - terms * UNIT_ROUNDOFF)
