"""The article's ranking model in TensorFlow Recommenders: two embeddings, three dense layers, mean squared error."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import MOVIE_TITLE, USER_ID, USER_RATING
from model.rankers.settings import ArticleSettings


def tower(name: str, vocabulary: Sequence[str], dimension: int) -> tf.keras.Sequential:
    """`string[B]` -> `float32[B, dimension]`; row 0 of the embedding is for whatever is not in the vocabulary."""
    return tf.keras.Sequential(
        [
            tf.keras.layers.StringLookup(vocabulary=list(vocabulary), mask_token=None),
            tf.keras.layers.Embedding(len(vocabulary) + 1, dimension, name=f"{name}_embedding"),
        ],
        name=f"{name}_tower",
    )


class RankingModel(tfrs.Model):
    """Predicts the rating of a (user, title) pair from an embedding of each.

    Takes a batch of features, `user_id: string[B]` and `movie_title: string[B]`, and for the loss `user_rating:
    float32[B]` among them; returns `float32[B, 1]`.
    """

    def __init__(self, users: Sequence[str], titles: Sequence[str], settings: ArticleSettings) -> None:
        super().__init__()
        self.user_tower = tower("user", users, settings.embedding_dimension)
        self.title_tower = tower("title", titles, settings.embedding_dimension)
        regularizer = tf.keras.regularizers.L2(settings.l2) if settings.l2 else None
        hidden = [
            tf.keras.layers.Dense(units, activation="relu", kernel_regularizer=regularizer)
            for units in settings.hidden_units
        ]
        self.head = tf.keras.Sequential([*hidden, tf.keras.layers.Dense(1)], name="head")
        self.task = tfrs.tasks.Ranking(
            loss=tf.keras.losses.MeanSquaredError(), metrics=[tf.keras.metrics.RootMeanSquaredError(name="rmse")]
        )

    def call(self, features: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The predicted rating of each pair, `float32[B, 1]`."""
        pairs = [self.user_tower(features[USER_ID]), self.title_tower(features[MOVIE_TITLE])]
        return self.head(tf.concat(pairs, axis=1))

    def compute_loss(self, features: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The mean squared error over the batch, a scalar."""
        return self.task(labels=features[USER_RATING], predictions=self(features))
