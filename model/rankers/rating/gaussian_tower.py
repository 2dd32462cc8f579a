"""Vectors of users or titles as Gaussians, whose prior mean comes from side features."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from model.rankers.settings import RatingSettings


class Gaussians(tf.Module):
    """Unknowns of shape `[n, S, E]`, each with the prior N(0, tau[S, E]^2) and the posterior N(mean, deviation^2)."""

    def __init__(self, shape: tuple[int, int, int], scale: float, tau: float, deviation: float) -> None:
        super().__init__()
        self.mean = tf.Variable(tf.random.normal(shape, stddev=scale), name="mean")
        self.log_deviation = tf.Variable(tf.fill(shape, tf.math.log(deviation)), name="log_deviation")
        self.log_tau = tf.Variable(tf.fill(shape[1:], tf.math.log(tau)), name="log_tau")

    @property
    def variance(self) -> tf.Tensor:
        """Variance of the posterior, `float32[n, S, E]`."""
        return tf.exp(2 * self.log_deviation)

    def divergence(self) -> tf.Tensor:
        """The Kullback-Leibler divergence of the posterior from the prior, `float32[n, S, E]`."""
        squares = (tf.square(self.mean) + self.variance) * tf.exp(-2 * self.log_tau)
        return (squares - 1) / 2 - self.log_deviation + self.log_tau


class Tower(tf.Module):
    """A Gaussian vector and bias for each of n users or titles: a part from side features and a part of its own."""

    def __init__(self, features: np.ndarray, visible: np.ndarray, settings: RatingSettings) -> None:
        """Start at random. `features: float32[n, K]`; `visible: bool[K, S]` says which of them each member sees."""
        super().__init__()
        members, size, scale = settings.members, settings.factors + 1, settings.initial_scale
        self._features = tf.constant(features, tf.float32)
        self._visible = tf.constant(visible[:, :, np.newaxis], tf.float32)
        self.own = Gaussians((features.shape[0], members, size), scale, tau=0.3, deviation=0.2)
        self.side = Gaussians((features.shape[1], members, size), scale / 10, tau=0.2, deviation=0.05)

    @property
    def rows(self) -> int:
        """The number of users or titles."""
        return self._features.shape[0]

    def moments(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Means and variances, `float32[n, S, D + 1]` each; the last component is the bias."""
        variance = tf.tensordot(tf.square(self._features), self._visible * self.side.variance, 1)
        return self.own.mean + self._side_mean(), self.own.variance + variance

    def divergence(self) -> tf.Tensor:
        """The divergence of the whole tower, a scalar."""
        return tf.reduce_sum(self.own.divergence()) + tf.reduce_sum(self._visible * self.side.divergence())

    def expected(self, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors, `float32[n, S * D]`, whose product is the average over the members, and biases, `float32[n]`.

        A row that is not `trained: bool[n]` gets its part from side features alone: without ratings the posterior is
        the prior, which the optimizer only approaches.
        """
        own = self.own.mean.numpy() * trained[:, np.newaxis, np.newaxis]
        mean = own + self._side_mean().numpy()
        rows, members, _ = mean.shape
        vectors = mean[:, :, :-1].reshape(rows, -1) / np.sqrt(members)
        return vectors.astype(np.float32), mean[:, :, -1].mean(axis=1).astype(np.float32)

    def _side_mean(self) -> tf.Tensor:
        """The mean of the part from side features, `float32[n, S, D + 1]`."""
        return tf.tensordot(self._features, self._visible * self.side.mean, 1)
