"""Fits the model of relevance: sequential EASE, then the towers of side data, then one table of vectors from both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from model.data.training_examples import on_disk
from model.rankers.relevance.choice import Choice, choose_settings
from model.rankers.relevance.histories import Histories
from model.rankers.relevance.next_title import TITLE_ROW, USER_ROW, NextTitleModel, root_mean_square, typical_score
from model.rankers.relevance.sequential_ease import history_vectors, title_vectors
from model.rankers.settings import RelevanceSettings
from model.rankers.training_progress import training_progress
from model.retrieval.dot_product_recommender import Factors


@dataclass(frozen=True)
class RelevanceFit:
    """The outcome of `fit_relevance`."""

    factors: Factors
    """Vectors of D + 1 components; row 0 of each table is for unknown users or titles."""
    history: dict[str, list[float]]
    """By name of the metric, a value for each epoch: the loss of an example."""
    choice: Choice
    """The settings of sequential EASE that the interactions chose."""


@dataclass(frozen=True)
class _Vectors:
    """What sequential EASE gives, with popularity as one more component."""

    users: np.ndarray
    """`float32[U, D + 1]`; the last component is 0."""
    titles: np.ndarray
    """`float32[M, D + 1]`"""
    popularity: np.ndarray
    """`float[M + 1]`, the last component of titles before scaling; row 0 is as popular as a title without watchers."""
    scale: float
    """Makes popularity as large as the other components."""


def fit_relevance(
    histories: Histories,
    user_features: np.ndarray,
    title_features: np.ndarray,
    settings: RelevanceSettings,
    seed: int,
    tensorboard: Path,
) -> RelevanceFit:
    """Fit sequential EASE and the towers to histories: the same input and seed give the same vectors.

    Args:
      histories: of U users and M titles. Their index here is their row in `Factors` minus 1.
      user_features: `float32[U, F]`, side features of all users.
      title_features: `float32[M, G]`, side features of all titles.
      settings: of both parts.
      seed: of everything that is drawn.
      tensorboard: the folder of its logs.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    choice = choose_settings(histories, settings.sequential_ease, seed)
    context, target = title_vectors(histories, choice.settings, seed)
    vectors = _with_popularity(history_vectors(histories, context, choice.settings), target, histories.counts)
    share = (histories.counts + 1) / (histories.counts + 1).sum()
    model = NextTitleModel(vectors.users, vectors.titles, user_features, title_features, share, vectors.scale, settings)
    losses = _train(model, histories, settings, seed, tensorboard)
    factors = _combine(model, vectors, histories, user_features, title_features, settings)
    return RelevanceFit(factors, {"next_title_loss": losses}, choice)


def _with_popularity(users: np.ndarray, titles: np.ndarray, counts: np.ndarray) -> _Vectors:
    popularity = np.log(np.append(0, counts) + 1.0)
    popularity -= popularity[1:].mean()
    # The bounds of `model.retrieval.dot_product_top_k` grow with the longest vector, so this is no larger than needed.
    scale = root_mean_square(titles) / root_mean_square(popularity[1:])
    return _Vectors(np.pad(users, [(0, 0), (0, 1)]), _append(titles, scale * popularity[1:]), popularity, scale)


def _train(
    model: NextTitleModel, histories: Histories, settings: RelevanceSettings, seed: int, tensorboard: Path
) -> list[float]:
    """Train the towers, and return the loss of an example for each epoch."""
    model.compile(optimizer=tf.keras.optimizers.legacy.Adam(settings.learning_rate))
    order = np.random.default_rng(seed).permutation(len(histories.user))
    pairs = {USER_ROW: histories.user.astype(np.int32), TITLE_ROW: histories.title.astype(np.int32)}
    with (
        on_disk(pairs, order) as examples,
        training_progress(settings.epochs * examples.batch_count(settings.batch_size)) as progress,
    ):
        history = model.fit(
            examples.batches(settings.batch_size),
            epochs=settings.epochs,
            verbose=0,
            callbacks=[tf.keras.callbacks.TensorBoard(tensorboard, write_graph=False), progress],
        )
    return [float(loss) / settings.batch_size for loss in history.history["loss"]]


def _combine(
    model: NextTitleModel,
    vectors: _Vectors,
    histories: Histories,
    user_features: np.ndarray,
    title_features: np.ndarray,
    settings: RelevanceSettings,
) -> Factors:
    """Vectors of their own plus what the towers add, brought to the same size."""
    lengths, counts = histories.lengths, histories.counts
    users = model.user_tower_vectors(_with_unknown(user_features)).numpy()
    users *= typical_score(vectors.users[lengths > 0], vectors.titles) / typical_score(users, vectors.titles)
    titles = model.title_tower(_with_unknown(title_features)).numpy()
    # A title without watchers is as long as those with few: it might be anything.
    few = counts <= np.median(counts)
    titles *= _mean_length(vectors.titles[few, :-1]) / max(_mean_length(titles[1:]), 1e-12)
    return Factors(
        _add_tower(vectors.users, users, lengths, settings.user_prior),
        _append(
            _add_tower(vectors.titles[:, :-1], titles, counts, settings.title_prior),
            vectors.scale * vectors.popularity,
        ),
        np.zeros(histories.titles + 1, np.float32),
    )


def _add_tower(vectors: np.ndarray, tower: np.ndarray, interactions: np.ndarray, prior: float) -> np.ndarray:
    """`float32[rows + 1, D]`: `vectors` plus a share of `tower` that falls with interactions; row 0 is `tower`'s."""
    share = (prior / (interactions + prior)).astype(np.float32)[:, None]
    return np.concatenate([tower[:1], vectors + share * tower[1:]])


def _with_unknown(features: np.ndarray) -> np.ndarray:
    """`[rows, F]` to `[rows + 1, F]`, where row 0 has no features."""
    return np.pad(features, [(1, 0), (0, 0)])


def _append(vectors: np.ndarray, component: np.ndarray) -> np.ndarray:
    return np.column_stack([vectors, component.astype(np.float32)])


def _mean_length(vectors: np.ndarray) -> float:
    return float(np.mean(np.linalg.norm(vectors, axis=1)))
