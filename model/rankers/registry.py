"""Each kind of model: what fits it, and what of it is exported."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from model.data.side_features import title_features, user_features
from model.data.vocabulary import Vocabulary
from model.rankers.article.training import fit
from model.rankers.rating.factorization import RatingFactors, fit_rating
from model.rankers.relevance.next_title import fit_relevance, histories_of
from model.rankers.settings import Hyperparameters, RatingSettings, RelevanceSettings, Settings
from model.retrieval.dense_recommender import DenseRecommender
from model.retrieval.dot_product_recommender import DotRecommender, DotWeights, Factors
from model.retrieval.signatures import Recommender
from model.retrieval.weights import Weights


@dataclass(frozen=True)
class Trained:
    """A fitted model, ready to be measured and exported."""

    recommender: Recommender
    weights: Weights
    history: dict[str, list[float]]
    """By name of the metric, a value an epoch."""
    parameters: int
    """Numbers that were fitted."""
    settings: Settings
    """What it was fitted with, where the interactions had a choice the one that they made."""

    @property
    def finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(np.isfinite(array).all()) for array in self.weights.arrays())

    def without_users(self) -> Recommender:
        """The recommender without its users' vectors, to be given them with every call."""
        kind: Callable[[Weights], Recommender] = type(self.recommender)
        return kind(self.weights.without_users())


def fit_kind(
    settings: Settings,
    train: pa.Table,
    validation: pa.Table,
    described: pa.Table,
    vocabulary: Vocabulary,
    seed: int,
    logs: Path,
) -> Trained:
    """Fit a model of the kind that `settings` are of.

    Args:
      settings: from `model.rankers.settings.MODELS`.
      train: of `model.data.interactions.SCHEMA`; nothing else is learned from.
      validation: its error is followed where it has rows.
      described: interactions whose side columns describe users and titles; ratings in it are not read.
      vocabulary: all that gets a row.
      seed: the same gives the same weights.
      logs: folder of TensorBoard's.
    """
    if isinstance(settings, Hyperparameters):
        fitted = fit(train, validation, vocabulary, settings, seed, logs)
        return Trained(DenseRecommender(fitted.weights), fitted.weights, fitted.history, fitted.parameters, settings)
    rating_settings = settings if isinstance(settings, RatingSettings) else settings.rating
    rating, history = fit_rating(train, validation, vocabulary, rating_settings, seed, logs / "rating", described)
    tf.keras.backend.clear_session()  # which would keep the variables and what an optimizer has of them
    ratings = _factors_of(rating)
    relevance = ratings
    histories = histories_of(train, pa.array(vocabulary.users), pa.array(vocabulary.titles))
    if isinstance(settings, RelevanceSettings):
        users, titles = user_features(described, vocabulary.users), title_features(described, vocabulary.titles)
        relevance, losses, closeness = fit_relevance(histories, users, titles, settings, seed, logs / "relevance")
        history, settings = {**history, **losses}, replace(settings, closeness=(closeness,))
    known = np.concatenate([[False], histories.lengths > 0])
    weights = DotWeights(vocabulary.users, vocabulary.titles, relevance, ratings, (rating.low, rating.high), known)
    parameters = sum(array.size for array in weights.arrays() if array.dtype == np.float32)
    return Trained(DotRecommender(weights), weights, history, parameters, settings)


def _factors_of(rating: RatingFactors) -> Factors:
    """The same ratings with what depends on the user alone as one more component of the vectors."""
    user = np.append(rating.user_vectors, rating.user_bias[:, None] + np.float32(rating.mean), axis=1)
    title = np.append(rating.title_vectors, np.ones((len(rating.title_bias), 1), np.float32), axis=1)
    return Factors(user, title, rating.title_bias)
