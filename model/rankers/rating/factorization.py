"""The rating model: variational matrix factorization on side features, exported as one pair of biases and vectors.

With S members and D factors, member s says of user u and title i that

    rating = mean + a[u] + b[i] + p[u] . q[i] + noise,      noise ~ N(0, sigma^2)

where (p[u], a[u]) ~ N(W x[u], diag(tau^2)) for the side features x[u], and titles likewise: how far a user departs
from people like them is a matter of how much they have rated, and whoever has rated nothing is exactly the prediction
from their side features. Every unknown, W among them, has a Gaussian posterior of its own, independent of the others,
and sigma and each factor's tau are fitted with them, so that there is no weight decay to tune. What is minimized is the
negative evidence lower bound a row, in closed form. The ratings of the members are averaged.

Sources: Lim and Teh, "Variational Bayesian approach to movie rating prediction" (2007), for the posterior; Park et al.,
"Hierarchical Bayesian matrix factorization with side information" (2013), for the priors.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import MOVIE_TITLE, USER_ID, USER_RATING
from model.data.side_features import title_features, user_features
from model.data.training_examples import learning_order, on_disk
from model.data.vocabulary import Vocabulary
from model.rankers.rating.co_occurrence import co_watching
from model.rankers.rating.gaussian_tower import Tower
from model.rankers.settings import RatingSettings

EVALUATION_BATCH = 16_384
SHUFFLE_SEED_OFFSET = 1
"""Keeps the order of rows and the initial weights from being drawn from one stream."""


@dataclass(frozen=True)
class RatingFactors:
    """A fitted model of U users and M titles; row 0 is whoever and whatever is not in the vocabulary. All float32."""

    mean: float
    low: float
    high: float
    """The least and the greatest rating in training, which no prediction passes."""
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

    Takes a batch of features, `user_row: int32[B]` and `title_row: int32[B]`, and for the loss `user_rating:
    float32[B]` among them; returns `float32[B]`. It can be a part of a model of several tasks.
    """

    def __init__(
        self,
        user_side: np.ndarray,
        title_side: np.ndarray,
        watched: np.ndarray,
        mean: float,
        rows: int,
        settings: RatingSettings,
    ) -> None:
        """Make a model to be fitted.

        Args:
          user_side: `float32[U + 1, K]`, as `with_constant` makes it.
          title_side: `float32[M + 1, L]`, likewise.
          watched: `float32[M + 1, C]`, of which each member is told as many as `settings` say.
          mean: of the ratings.
          rows: how many there are to fit to; the prior weighs as much as the evidence of one pass over them.
          settings: of the model.
        """
        super().__init__()
        told = [settings.co_watching[member % len(settings.co_watching)] for member in range(settings.members)]
        by_all = np.ones((title_side.shape[1], settings.members), bool)
        by_some = np.arange(watched.shape[1])[:, np.newaxis] < np.array(told)
        self.user_tower = Tower(user_side, np.ones((user_side.shape[1], settings.members), bool), settings)
        self.title_tower = Tower(np.hstack([title_side, watched]), np.vstack([by_all, by_some]), settings)
        self.log_sigma = tf.Variable(0.0, name="log_sigma")
        self.prior_weight = tf.Variable(1.0, trainable=False, name="prior_weight")
        self._mean, self._scale = mean, 1 / (rows * settings.members)
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")]
        )

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The predicted rating of each pair, `float32[B]`."""
        ratings, _ = self._moments(features)
        return tf.reduce_mean(ratings, axis=1)

    def compute_loss(self, features: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The negative evidence lower bound a row and a member, a scalar."""
        ratings, variances = self._moments(features)
        error = self.task(labels=features[USER_RATING], predictions=tf.reduce_mean(ratings, axis=1))
        # The members' mean squared error is that of their average and their variance about it.
        error += tf.reduce_mean(tf.math.reduce_variance(ratings, axis=1)) + tf.reduce_mean(variances)
        divergence = self.user_tower.divergence() + self.title_tower.divergence()
        evidence = error * tf.exp(-2 * self.log_sigma) / 2 + self.log_sigma
        return evidence + self.prior_weight * self._scale * divergence

    def _moments(self, features: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of what each member says, without the noise: `float32[B, S]` each."""
        user, user_variance = (tf.gather(part, features["user_row"]) for part in self.user_tower.moments())
        title, title_variance = (tf.gather(part, features["title_row"]) for part in self.title_tower.moments())
        bias = user[..., -1] + title[..., -1]
        bias_variance = user_variance[..., -1] + title_variance[..., -1]
        user, user_variance, title, title_variance = (
            part[..., :-1] for part in (user, user_variance, title, title_variance)
        )
        products = user_variance * (tf.square(title) + title_variance) + tf.square(user) * title_variance
        ratings = self._mean + bias + tf.reduce_sum(user * title, axis=-1)
        return ratings, bias_variance + tf.reduce_sum(products, axis=-1)


def fit_rating(
    train: pa.Table,
    validation: pa.Table,
    vocabulary: Vocabulary,
    settings: RatingSettings,
    seed: int,
    tensorboard: Path | None,
    described: pa.Table | None = None,
) -> tuple[RatingFactors, dict[str, list[float]]]:
    """Fit a `RatingModel` to `train`, the same for the same rows in any order, settings and seed.

    Args:
      train: of `model.data.interactions.SCHEMA`, with side columns or without; at least one row.
      validation: likewise; may be empty. Its error is reported and nothing else is taken from it but side columns.
      vocabulary: of everything that is to have a row; what has no row in `train` is known by its side features.
      settings: of the model.
      seed: of the starting values and of the order of rows.
      tensorboard: where to log, or None.
      described: interactions whose side columns describe users and titles; `train` and `validation` unless given.
        Users whose only rows are elsewhere are described nowhere else. Ratings in it are not read.

    Returns:
      The factors, and by the name of each metric a value an epoch.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    described = pa.concat_tables([train, validation], promote_options="default") if described is None else described
    rows = _rows(train, vocabulary)
    ratings = rows[USER_RATING]
    mean = float(ratings.mean(dtype=np.float64))
    user_counts = np.bincount(rows["user_row"], minlength=len(vocabulary.users) + 1)[1:]
    title_counts = np.bincount(rows["title_row"], minlength=len(vocabulary.titles) + 1)[1:]
    users, titles = len(vocabulary.users), len(vocabulary.titles)
    watched = co_watching(rows["user_row"] - 1, rows["title_row"] - 1, users, titles, max(settings.co_watching), seed)
    model = RatingModel(
        with_constant(user_features(described, vocabulary.users)),
        with_constant(np.hstack([title_features(described, vocabulary.titles), popularity(title_counts)])),
        np.pad(watched, [(1, 0), (0, 0)]),
        mean,
        train.num_rows,
        settings,
    )
    batch_size = settings.batch_of(train.num_rows)
    steps = settings.epochs * -(-train.num_rows // batch_size)
    rate = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps, alpha=0.05)
    # Gradients of a factorization change direction as factors take shape; a longer memory of their squares lags behind.
    model.compile(optimizer=tf.keras.optimizers.Adam(rate, beta_2=0.99))

    def warm_up(epoch: int, _: object = None) -> None:
        model.prior_weight.assign(min(1.0, (epoch + 1) / (settings.warm_up * settings.epochs + 1)))

    callbacks = [tf.keras.callbacks.LambdaCallback(on_epoch_begin=warm_up)]
    if tensorboard is not None:
        callbacks.append(tf.keras.callbacks.TensorBoard(tensorboard, write_graph=False))
    order = learning_order(train, seed + SHUFFLE_SEED_OFFSET)
    with on_disk(rows, order) as examples, on_disk(_rows(validation, vocabulary)) as held_out:
        history = model.fit(
            examples.batches(batch_size),
            validation_data=held_out.batches(EVALUATION_BATCH) if held_out.rows else None,
            epochs=settings.epochs,
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=callbacks,
        )
    user_vectors, user_bias = model.user_tower.expected(np.append(False, user_counts > 0))
    title_vectors, title_bias = model.title_tower.expected(np.append(False, title_counts > 0))
    factors = RatingFactors(
        mean, float(ratings.min()), float(ratings.max()), user_bias, title_bias, user_vectors, title_vectors
    )
    return factors, {name: [float(value) for value in values] for name, values in history.history.items()}


def popularity(counts: np.ndarray) -> np.ndarray:
    """How many ratings each title has, `int[M]`, as a side feature, `float32[M, 1]`: what few watch is rated lower.

    On a scale of logarithms, of deviation 1 about 0, which is also what a title has that nobody has rated yet: it may
    be new rather than unloved. There is no such feature for users: on a split by time it misleads about new ones, who
    have no ratings because of their date and not their habits.
    """
    # Ten keeps the logarithm from telling one rating from two.
    scale = np.log(counts + 10.0)
    rated = counts > 0
    scale = (scale - scale[rated].mean()) / max(float(scale[rated].std()), 1e-6)
    return np.where(rated, scale, 0).astype(np.float32)[:, np.newaxis]


def with_constant(features: np.ndarray) -> np.ndarray:
    """`float32[n, K]` -> `float32[n + 1, K + 1]`, ready for a tower.

    Columns are centred on the rows that are described at all. Row 0, the unknown, and those of which nothing is known
    are then zeros, the average. The constant carries what all rows share.
    """
    known = features.any(axis=1)
    centred = np.zeros_like(features)
    if known.any():
        centred[known] = features[known] - features[known].mean(axis=0)
    return np.pad(np.pad(centred, [(1, 0), (0, 0)]), [(0, 0), (1, 0)], constant_values=1)


def _rows(table: pa.Table, vocabulary: Vocabulary) -> dict[str, np.ndarray]:
    """What a `RatingModel` takes; 0 for whatever is not in the vocabulary."""

    def places(column: pa.ChunkedArray, words: pa.Array) -> np.ndarray:
        return pc.fill_null(pc.add(pc.index_in(column, value_set=words), 1), 0).to_numpy()

    return {
        "user_row": places(table[USER_ID], pa.array(vocabulary.users, pa.string())),
        "title_row": places(table[MOVIE_TITLE], pa.array(vocabulary.titles, pa.string())),
        USER_RATING: table[USER_RATING].to_numpy(),
    }
