"""The rating model: variational matrix factorization on side features, exported as biases and vectors.

With S members and D factors, member s says of user u and title i that

    rating = mean + a[u] + b[i] + p[u] . q[i] + noise,      noise ~ N(0, sigma^2)

where (p[u], a[u]) ~ N(W x[u], diag(tau^2)) for the side features x[u], and the same for titles. How far a user departs
from similar users depends on how much they have rated, and a user without ratings is exactly what their side features
predict. Every unknown, W among them, has a Gaussian posterior of its own, independent of the others. Sigma and the tau
of each factor are fitted with them, so there is no weight decay to tune. The loss is the negative evidence lower bound
for each row, in closed form. The ratings of the members are averaged.

Sources: Lim and Teh, "Variational Bayesian approach to movie rating prediction" (2007), for the posterior; Park et al.,
"Hierarchical Bayesian matrix factorization with side information" (2013), for the priors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import USER_RATING
from model.rankers.rating.gaussian_tower import Tower
from model.rankers.settings import RatingSettings

USER_ROW, TITLE_ROW = "user_row", "title_row"


@dataclass(frozen=True)
class RatingFactors:
    """A fitted model of U users and M titles, all float32. Row 0 is for users or titles outside the vocabulary."""

    mean: float
    low: float
    high: float
    """The least and the greatest rating in training; predictions stay between them."""
    user_bias: np.ndarray
    """`[U + 1]`"""
    title_bias: np.ndarray
    """`[M + 1]`"""
    user_vectors: np.ndarray
    """`[U + 1, F]`"""
    title_vectors: np.ndarray
    """`[M + 1, F]`"""

    def predict(self, user_rows: np.ndarray, title_rows: np.ndarray) -> np.ndarray:
        """`mean + user_bias + title_bias + user_vectors . title_vectors` within [low, high], `float32[B]`."""
        product = np.einsum("bf,bf->b", self.user_vectors[user_rows], self.title_vectors[title_rows])
        rating = self.mean + self.user_bias[user_rows] + self.title_bias[title_rows] + product
        return np.clip(rating, self.low, self.high).astype(np.float32)


class RatingModel(tfrs.Model):
    """Predicts the rating of pairs given as rows of the vocabulary.

    Takes a batch of features, `user_row: int32[B]` and `title_row: int32[B]`, and for the loss also `user_rating:
    float32[B]`; returns `float32[B]`. It can be part of a model with several tasks.
    """

    def __init__(
        self,
        user_side: np.ndarray,
        title_side: np.ndarray,
        co_occurrence: np.ndarray,
        mean: float,
        rows: int,
        settings: RatingSettings,
    ) -> None:
        """Make a model with random starting values.

        Args:
          user_side: `float32[U + 1, K]`, as `with_constant` makes it.
          title_side: `float32[M + 1, L]`, as `with_constant` makes it.
          co_occurrence: `float32[M + 1, C]`; `settings` say how many of these features each member gets.
          mean: of the ratings.
          rows: the number of training rows; the prior weighs as much as the evidence of one pass over them.
          settings: of the model.
        """
        super().__init__()
        counts = [settings.co_occurrence[member % len(settings.co_occurrence)] for member in range(settings.members)]
        by_all = np.ones((title_side.shape[1], settings.members), bool)
        by_some = np.arange(co_occurrence.shape[1])[:, np.newaxis] < np.array(counts)
        self.user_tower = Tower(user_side, np.ones((user_side.shape[1], settings.members), bool), settings)
        self.title_tower = Tower(np.hstack([title_side, co_occurrence]), np.vstack([by_all, by_some]), settings)
        self.log_sigma = tf.Variable(0.0, name="log_sigma")
        self.prior_weight = tf.Variable(1.0, trainable=False, name="prior_weight")
        self.mean, self._scale = mean, 1 / (rows * settings.members)
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")]
        )

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The predicted rating of each pair, `float32[B]`."""
        ratings, _ = self._moments(features)
        return tf.reduce_mean(ratings, axis=1)

    def compute_loss(self, features: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The negative evidence lower bound for each row and member, a scalar."""
        ratings, variances = self._moments(features)
        error = self.task(labels=features[USER_RATING], predictions=tf.reduce_mean(ratings, axis=1))
        # The mean squared error of the members is that of their average plus their variance around it.
        error += tf.reduce_mean(tf.math.reduce_variance(ratings, axis=1)) + tf.reduce_mean(variances)
        divergence = self.user_tower.divergence() + self.title_tower.divergence()
        evidence = error * tf.exp(-2 * self.log_sigma) / 2 + self.log_sigma
        return evidence + self.prior_weight * self._scale * divergence

    def _moments(self, features: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of each member's rating, without the noise: `float32[B, S]` each."""
        user, user_variance = (tf.gather(part, features[USER_ROW]) for part in self.user_tower.moments())
        title, title_variance = (tf.gather(part, features[TITLE_ROW]) for part in self.title_tower.moments())
        bias = user[..., -1] + title[..., -1]
        bias_variance = user_variance[..., -1] + title_variance[..., -1]
        user, user_variance, title, title_variance = (
            part[..., :-1] for part in (user, user_variance, title, title_variance)
        )
        products = user_variance * (tf.square(title) + title_variance) + tf.square(user) * title_variance
        ratings = self.mean + bias + tf.reduce_sum(user * title, axis=-1)
        return ratings, bias_variance + tf.reduce_sum(products, axis=-1)
