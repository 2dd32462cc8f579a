"""Fits the article's ranking model: the same rows, settings and seed give the same weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from model.contract import MOVIE_TITLE, USER_ID, USER_RATING
from model.data.training_examples import learning_order, on_disk
from model.data.vocabulary import Vocabulary
from model.rankers.article.network import RankingModel
from model.rankers.settings import ArticleSettings
from model.rankers.training_progress import training_progress
from model.retrieval.dense_recommender import DenseWeights

EVALUATION_BATCH = 4_096
SHUFFLE_SEED_OFFSET = 1
"""Keeps the order of rows and the initial weights from being drawn from one stream."""


@dataclass(frozen=True)
class Fit:
    """The outcome of `fit`."""

    weights: DenseWeights
    history: dict[str, list[float]]
    """By name of the metric, a value for each epoch."""
    parameters: int
    """The number of trainable parameters."""


def fit(
    train: pa.Table,
    validation: pa.Table,
    vocabulary: Vocabulary,
    settings: ArticleSettings,
    seed: int,
    tensorboard: Path,
) -> Fit:
    """Fit a `RankingModel` to `train`, and measure its error on `validation` after every epoch if that has rows.

    Rows are put in an order that depends only on their content and are then shuffled by `seed`. Two sources that hold
    the same interactions in different orders give the same weights.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    model = RankingModel(vocabulary.users, vocabulary.titles, settings)
    model.compile(optimizer=tf.keras.optimizers.Adagrad(settings.learning_rate))
    order = learning_order(train, seed + SHUFFLE_SEED_OFFSET)
    with (
        on_disk(_features(train), order) as examples,
        on_disk(_features(validation)) as held_out,
        training_progress(settings.epochs * examples.batch_count(settings.batch_size)) as progress,
    ):
        history = model.fit(
            examples.batches(settings.batch_size),
            validation_data=held_out.batches(EVALUATION_BATCH) if held_out.rows else None,
            epochs=settings.epochs,
            verbose=0,
            callbacks=[tf.keras.callbacks.TensorBoard(tensorboard, write_graph=False), progress],
        )
    return Fit(
        weights=_weights(model, vocabulary, train),
        history={name: [float(value) for value in values] for name, values in history.history.items()},
        parameters=sum(int(np.prod(variable.shape)) for variable in model.trainable_variables),
    )


def _weights(model: RankingModel, vocabulary: Vocabulary, train: pa.Table) -> DenseWeights:
    """The arrays of a fitted model.

    The article never trains the embedding row of unknown users or titles. Here it is the mean of the trained rows,
    because an unknown user should be served as the average user rather than by chance.
    """
    known = _trained_rows(vocabulary.users, train[USER_ID])
    (user_embedding,) = model.user_tower.get_weights()[-1:]
    (title_embedding,) = model.title_tower.get_weights()[-1:]
    user_embedding[0] = user_embedding[known].mean(axis=0)
    title_embedding[0] = title_embedding[_trained_rows(vocabulary.titles, train[MOVIE_TITLE])].mean(axis=0)
    dense = model.head.get_weights()
    return DenseWeights(
        user_ids=vocabulary.users,
        movie_titles=vocabulary.titles,
        user_embedding=user_embedding,
        title_embedding=title_embedding,
        kernels=dense[0::2],
        biases=dense[1::2],
        known=known,
    )


def _trained_rows(words: Sequence[str], column: pa.ChunkedArray) -> np.ndarray:
    """`bool[len(words) + 1]`: whether `column` has the word of each embedding row; row 0 is for unknown words."""
    return np.concatenate(
        [[False], pc.is_in(pa.array(words, pa.string()), value_set=pc.unique(column)).to_numpy(False)]
    )


def _features(table: pa.Table) -> dict[str, pa.ChunkedArray]:
    return {name: table[name] for name in (USER_ID, MOVIE_TITLE, USER_RATING)}
