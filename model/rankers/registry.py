"""Each kind of model: what fits it, and what of it is exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from model.data.side_features import title_features, user_features
from model.data.vocabulary import Vocabulary
from model.rankers.article.training import fit
from model.rankers.rating.factorization import RatingFactors
from model.rankers.rating.training import fit_rating
from model.rankers.relevance.choice import LAST, TOP, Choice
from model.rankers.relevance.histories import histories_of
from model.rankers.relevance.training import fit_relevance
from model.rankers.settings import ArticleSettings, RatingSettings, RelevanceSettings, Settings
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
    """By name of the metric, a value for each epoch."""
    parameters: int
    """The number of fitted parameters."""
    settings: Settings
    """What it was fitted with; where the interactions had a choice, what they chose."""
    choice: Choice | None = None
    """Why `settings` are what the interactions chose; None where there was no choice."""

    @property
    def finite(self) -> bool:
        """Whether all weights are finite."""
        return all(bool(np.isfinite(array).all()) for array in self.weights.arrays())

    def without_users(self) -> Recommender:
        """The recommender without its users' vectors; every call has to bring them."""
        kind: Callable[[Weights], Recommender] = type(self.recommender)
        return kind(self.weights.without_users())

    def summary(self) -> list[str]:
        """How the fit ended, in lines to print: the settings that were chosen, and each loss after its last epoch."""
        lines = [_describe(self.choice)] if self.choice and self.choice.ndcg else []
        return [*lines, "; ".join(_describe_losses(self.history))]


def _describe(choice: Choice) -> str:
    results = " ".join(f"{ndcg:.4f}" for ndcg in choice.ndcg)
    number = int(np.argmax(choice.ndcg)) + 1
    return f"NDCG@{TOP} on the last {LAST} titles: {results}; option {number} chosen"


def _describe_losses(history: dict[str, list[float]]) -> Iterator[str]:
    if rmse := history.get("rmse"):
        held_out = history.get("val_rmse")
        on_validation = f", {held_out[-1]:.4f} on validation" if held_out else ""
        yield f"RMSE {rmse[-1]:.4f} in training{on_validation} after {len(rmse)} epochs"
    if losses := history.get("next_title_loss"):
        yield f"loss {losses[-1]:.4f} of the next title after {len(losses)}"


def fit_kind(
    settings: Settings,
    train: pa.Table,
    validation: pa.Table,
    described: pa.Table,
    vocabulary: Vocabulary,
    seed: int,
    logs: Path,
) -> Trained:
    """Fit a model of the kind that `settings` are for.

    Args:
      settings: from `model.rankers.settings.MODELS`.
      train: interactions; the model learns from these alone.
      validation: interactions to measure the error on after each epoch; may be empty.
      described: interactions whose side columns describe users and titles. Its ratings are not read.
      vocabulary: every user and title that gets a row.
      seed: the same seed gives the same weights.
      logs: the folder of TensorBoard's logs.
    """
    if isinstance(settings, ArticleSettings):
        fitted = fit(train, validation, vocabulary, settings, seed, logs)
        return Trained(DenseRecommender(fitted.weights), fitted.weights, fitted.history, fitted.parameters, settings)
    rating_settings = settings if isinstance(settings, RatingSettings) else settings.rating
    rating, history = fit_rating(train, validation, vocabulary, rating_settings, seed, logs / "rating", described)
    # Keras would keep the variables, and what the optimizer has for them.
    tf.keras.backend.clear_session()
    ratings = _factors_of(rating)
    relevance, choice = ratings, None
    histories = histories_of(train, vocabulary)
    if isinstance(settings, RelevanceSettings):
        users, titles = user_features(described, vocabulary.users), title_features(described, vocabulary.titles)
        fitted_relevance = fit_relevance(histories, users, titles, settings, seed, logs / "relevance")
        relevance, choice = fitted_relevance.factors, fitted_relevance.choice
        history = {**history, **fitted_relevance.history}
        settings = replace(settings, sequential_ease=(choice.settings,))
    known = np.concatenate([[False], histories.lengths > 0])
    weights = DotWeights(vocabulary.users, vocabulary.titles, relevance, ratings, (rating.low, rating.high), known)
    parameters = sum(array.size for array in weights.arrays() if array.dtype == np.float32)
    return Trained(DotRecommender(weights), weights, history, parameters, settings, choice)


def _factors_of(rating: RatingFactors) -> Factors:
    """The same ratings; what depends on the user alone becomes one more component of the vectors."""
    user = np.append(rating.user_vectors, rating.user_bias[:, None] + np.float32(rating.mean), axis=1)
    title = np.append(rating.title_vectors, np.ones((len(rating.title_bias), 1), np.float32), axis=1)
    return Factors(user, title, rating.title_bias)
