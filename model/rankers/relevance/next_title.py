"""The towers of side data of the model of relevance, for users and titles with few interactions or none.

Users with a history and titles with watchers get vectors from sequential EASE. Where there are none, two towers stand
in, which a TensorFlow Recommenders retrieval task trains: in each example the user's vector, the title's vector or both
are dropped at random, and the tower's output takes their place (DropoutNet: Volkovs, Yu and Poutanen 2017). Sometimes
the side data are dropped too. A user with n interactions then gets the vector of their history plus `k / (n + k)` of
the tower's vector, and so does a title.

The last component is popularity: the logarithm of its interactions for a title, 0 for a history, and a constant for a
user of the tower. The user tower therefore learns how similar users depart from what most people watch. A user without
side data departs in nothing and gets the most popular titles.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.rankers.settings import RelevanceSettings

USER_ROW, TITLE_ROW = "user_row", "title_row"


class NextTitleModel(tfrs.Model):
    """Two towers of side data that learn to stand in for given vectors, whose last component is popularity.

    A title keeps its popularity when its vector is dropped. The popularity component of a user is a constant, chosen so
    that its part of the score, divided by the temperature, is the logarithm of the title's share. The tower learns the
    rest.

    Takes a batch of `user_row: int32[B]` and `title_row: int32[B]`. The loss is the cross-entropy of each user's title
    among the titles of the batch, corrected for how often a title is in a batch (Yi et al. 2019,
    "Sampling-bias-corrected neural modeling for large corpus item recommendations").
    """

    def __init__(
        self,
        users: np.ndarray,
        titles: np.ndarray,
        user_features: np.ndarray,
        title_features: np.ndarray,
        title_share: np.ndarray,
        popularity_scale: float,
        settings: RelevanceSettings,
    ) -> None:
        """Make towers that are still to be trained.

        Args:
          users: `float32[U, D + 1]`, the given vectors.
          titles: `float32[M, D + 1]`
          user_features: `float32[U, F]`
          title_features: `float32[M, G]`
          title_share: `float[M]`, the share of the interactions that each title has.
          popularity_scale: the factor between the logarithm of a title's interactions and the last component.
          settings: of the model.
        """
        super().__init__()
        dimension, temperature = users.shape[1] - 1, settings.temperature * typical_score(users, titles)
        # From zeros and without a bias, so that a user without side data gets a vector of zeros.
        self.user_tower = tf.keras.layers.Dense(
            dimension, use_bias=False, kernel_initializer="zeros", name="user_tower"
        )
        self.title_tower = tf.keras.layers.Dense(dimension, name="title_tower")
        self._user_step = settings.user_step * root_mean_square(users[:, :-1])
        self._user_popularity = temperature / popularity_scale
        self._users, self._titles = tf.constant(users), tf.constant(titles)
        self._user_features, self._title_features = tf.constant(user_features), tf.constant(title_features)
        self._title_share = tf.constant(title_share, tf.float32)
        self._settings = settings
        self.task = tfrs.tasks.Retrieval(
            metrics=None,
            batch_metrics=None,
            temperature=temperature,
            remove_accidental_hits=True,
        )

    def compute_loss(self, features: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The loss summed over the batch, a scalar."""
        users, titles = features[USER_ROW], features[TITLE_ROW]
        # Random numbers are drawn in the order of these lines.
        described_users, described_titles = (
            _drop(tf.gather(table, rows), self._settings.feature_dropout)
            for table, rows in ((self._user_features, users), (self._title_features, titles))
        )
        queries = _drop(
            tf.gather(self._users, users), self._settings.user_dropout, self.user_tower_vectors(described_users)
        )
        vectors = tf.gather(self._titles, titles)
        candidates = _drop(
            vectors,
            self._settings.title_dropout,
            tf.concat([self.title_tower(described_titles), vectors[:, -1:]], axis=1),
        )
        return self.task(
            queries,
            candidates,
            candidate_sampling_probability=tf.gather(self._title_share, titles),
            # These are only compared. For integers TensorFlow would warn about its own library.
            candidate_ids=tf.cast(titles, tf.float64),
            compute_metrics=False,
        )

    def user_tower_vectors(self, features: tf.Tensor) -> tf.Tensor:
        """Side features, `float32[B, F]`, to the vectors that stand in for users' own, `float32[B, D + 1]`."""
        departure = self._user_step * self.user_tower(features)
        return tf.concat([departure, tf.fill([tf.shape(departure)[0], 1], self._user_popularity)], axis=1)


def typical_score(users: np.ndarray, titles: np.ndarray) -> float:
    """The root mean square of all products of a row of `users` and a row of `titles`; 1 where all are zeros."""
    squares = np.sum((users.T @ users / len(users)) * (titles.T @ titles / len(titles)), dtype=np.float64)
    return float(np.sqrt(squares)) or 1.0


def root_mean_square(values: np.ndarray) -> float:
    """Over all values; 1 where all are zeros."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0


def _drop(vectors: tf.Tensor, share: float, instead: tf.Tensor | float = 0.0) -> tf.Tensor:
    """`vectors` with a random `share` of the rows replaced by `instead`."""
    return tf.where(tf.random.uniform([tf.shape(vectors)[0], 1]) < share, instead, vectors)
