"""Fits the rating model: the same rows, settings and seed give the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import tensorflow as tf

from model.contract import USER_RATING
from model.data.side_features import title_features, user_features
from model.data.training_examples import learning_order, on_disk
from model.data.vocabulary import Vocabulary
from model.rankers.rating.co_occurrence import co_occurrence_features
from model.rankers.rating.factorization import TITLE_ROW, USER_ROW, RatingFactors, RatingModel
from model.rankers.settings import RatingSettings
from model.rankers.training_progress import training_progress

EVALUATION_BATCH = 16_384
SHUFFLE_SEED_OFFSET = 1
"""Keeps the order of rows and the initial weights from being drawn from one stream."""

Rows: TypeAlias = Mapping[str, np.ndarray]
"""What a `RatingModel` takes: `USER_ROW`, `TITLE_ROW` and the rating of each interaction."""


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
      train: interactions, with side columns or without; at least one row.
      validation: interactions; may be empty. Its error is measured, and its side columns describe users and titles.
      vocabulary: all users and titles that get a row; side features stand in for those without a row in `train`.
      settings: of the model.
      seed: of the starting values and of the order of rows.
      tensorboard: where to log, or None.
      described: interactions whose side columns describe users and titles, so that users without rows in `train` and
        `validation` are described too; by default those two. Its ratings are not read.

    Returns:
      The factors, and for each metric by name a value for each epoch.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    described = pa.concat_tables([train, validation], promote_options="default") if described is None else described
    rows = _rows(train, vocabulary)
    model = _make_model(rows, described, vocabulary, settings, seed)
    order = learning_order(train, seed + SHUFFLE_SEED_OFFSET)
    history = _train(model, rows, order, _rows(validation, vocabulary), settings, tensorboard)
    return _factors(model, rows), {name: [float(value) for value in values] for name, values in history.items()}


def _make_model(
    rows: Rows, described: pa.Table, vocabulary: Vocabulary, settings: RatingSettings, seed: int
) -> RatingModel:
    users, titles = len(vocabulary.users), len(vocabulary.titles)
    co_occurrence = co_occurrence_features(
        rows[USER_ROW] - 1, rows[TITLE_ROW] - 1, users, titles, max(settings.co_occurrence), seed
    )
    title_counts = np.bincount(rows[TITLE_ROW], minlength=titles + 1)[1:]
    return RatingModel(
        with_constant(user_features(described, vocabulary.users)),
        with_constant(np.hstack([title_features(described, vocabulary.titles), popularity(title_counts)])),
        np.pad(co_occurrence, [(1, 0), (0, 0)]),
        float(rows[USER_RATING].mean(dtype=np.float64)),
        len(rows[USER_RATING]),
        settings,
    )


def _train(
    model: RatingModel,
    rows: Rows,
    order: np.ndarray,
    validation: Rows,
    settings: RatingSettings,
    tensorboard: Path | None,
) -> dict[str, list[float]]:
    """Train the model, and return for each metric by name a value for each epoch."""
    batch_size = settings.batch_size_for(len(order))
    steps = settings.epochs * -(-len(order) // batch_size)
    rate = tf.keras.optimizers.schedules.CosineDecay(settings.learning_rate, steps, alpha=0.05)
    # Gradients change direction as factors take shape; a longer memory of their squares would lag behind.
    model.compile(optimizer=tf.keras.optimizers.Adam(rate, beta_2=0.99))

    def warm_up(epoch: int, _: object = None) -> None:
        model.prior_weight.assign(min(1.0, (epoch + 1) / (settings.warm_up * settings.epochs + 1)))

    callbacks = [tf.keras.callbacks.LambdaCallback(on_epoch_begin=warm_up)]
    if tensorboard is not None:
        callbacks.append(tf.keras.callbacks.TensorBoard(tensorboard, write_graph=False))
    with (
        on_disk(rows, order) as examples,
        on_disk(validation) as held_out,
        training_progress(steps) as progress,
    ):
        history = model.fit(
            examples.batches(batch_size),
            validation_data=held_out.batches(EVALUATION_BATCH) if held_out.rows else None,
            epochs=settings.epochs,
            verbose=0,
            callbacks=[*callbacks, progress],
        )
    return history.history


def _factors(model: RatingModel, rows: Rows) -> RatingFactors:
    ratings = rows[USER_RATING]
    user_vectors, user_bias = model.user_tower.expected(_has_rows(rows[USER_ROW], model.user_tower.rows))
    title_vectors, title_bias = model.title_tower.expected(_has_rows(rows[TITLE_ROW], model.title_tower.rows))
    return RatingFactors(
        model.mean, float(ratings.min()), float(ratings.max()), user_bias, title_bias, user_vectors, title_vectors
    )


def _has_rows(row: np.ndarray, rows: int) -> np.ndarray:
    """`bool[rows]`: which of them `row` names; never row 0, which is for the unknown."""
    return (np.bincount(row, minlength=rows) > 0) & (np.arange(rows) > 0)


def popularity(counts: np.ndarray) -> np.ndarray:
    """The number of ratings of each title, `int[M]`, as a side feature, `float32[M, 1]`: unpopular titles rate lower.

    It is a logarithm, brought to mean 0 and deviation 1. A title without ratings gets 0, because it may be new rather
    than unloved. Users have no such feature: on a split by time it misleads about new users, who have few ratings
    because of their date and not because of their habits.
    """
    # Adding ten makes one rating and two nearly the same.
    scale = np.log(counts + 10.0)
    rated = counts > 0
    scale = (scale - scale[rated].mean()) / max(float(scale[rated].std()), 1e-6)
    return np.where(rated, scale, 0).astype(np.float32)[:, np.newaxis]


def with_constant(features: np.ndarray) -> np.ndarray:
    """`float32[n, K]` -> `float32[n + 1, K + 1]`, ready for a tower.

    Columns are centred on the rows that have any feature. Row 0, the unknown, and rows without features are zeros,
    which is then the average. The constant carries what all rows share.
    """
    known = features.any(axis=1)
    centred = np.zeros_like(features)
    if known.any():
        centred[known] = features[known] - features[known].mean(axis=0)
    return np.pad(np.pad(centred, [(1, 0), (0, 0)]), [(0, 0), (1, 0)], constant_values=1)


def _rows(table: pa.Table, vocabulary: Vocabulary) -> Rows:
    """What a `RatingModel` takes; row 0 is for users and titles that are not in the vocabulary."""
    return {
        USER_ROW: vocabulary.user_index(table) + 1,
        TITLE_ROW: vocabulary.title_index(table) + 1,
        USER_RATING: table[USER_RATING].to_numpy(),
    }
