"""The models of the benchmarks: dense layers with trained or random weights, and products of vectors."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model.tensorflow_start import import_tensorflow
from tests.benchmarks.comparison import in_new_process

if TYPE_CHECKING:
    from model.retrieval.dense_recommender import DenseWeights
    from model.retrieval.signatures import Recommender
    from model.retrieval.weights import Weights

FACTORS, RATING_FACTORS = 97, 41
"""Length of a relevance ranker's vectors: those that it ranks by, and those that predict ratings."""
NOISE = 0.1
"""Noise that is added to title vectors that are used again, in standard deviations. Without it, titles would tie."""


def titles(count: int) -> list[str]:
    """Distinct titles."""
    return [f"Title {number} (1990)" for number in range(count)]


def folder_of(make: Callable[..., None], scratch: Path, *sizes: int) -> Path:
    """The folder of a model. If it is missing, `make(folder, *sizes)` makes it in a process of its own."""
    folder = scratch / "-".join([make.__name__, *map(str, sizes)])
    if not folder.exists():
        in_new_process(make, folder, *sizes)
    return folder / "model"


def make_model(scratch: Path, user_count: int, title_count: int) -> None:
    """Write the article's basic model with random weights to `scratch/model`. Worst case: bounds prove nothing."""
    import_tensorflow()
    from model.retrieval.dense_recommender import DenseRecommender, DenseWeights

    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = DenseWeights(
        user_ids=_users(user_count),
        movie_titles=titles(title_count),
        user_embedding=draw(user_count + 1, 32),
        title_embedding=draw(title_count + 1, 32),
        kernels=[draw(64, 256), draw(256, 64), draw(64, 1)],
        biases=[draw(256), draw(64), draw(1)],
        known=np.arange(user_count + 1) > 0,
    )
    _export(DenseRecommender(weights), "basic", "rating", weights, scratch)


def make_trained(scratch: Path, user_count: int, title_count: int) -> None:
    """Write the article's basic model, trained on the sample. Its users and titles repeat up to the sizes asked for."""
    import_tensorflow()
    from model.retrieval.dense_recommender import DenseRecommender, DenseWeights

    fitted = _fit()
    titles_embedding = _in_turn(fitted.title_embedding, title_count)
    again = np.arange(title_count + 1) >= len(fitted.title_embedding)
    noise = (
        np.random.default_rng(0).normal(size=titles_embedding.shape) * NOISE * fitted.title_embedding[1:].std(axis=0)
    )
    titles_embedding[again] += noise[again].astype(np.float32)
    weights = DenseWeights(
        user_ids=_users(user_count),
        movie_titles=titles(title_count),
        user_embedding=_in_turn(fitted.user_embedding, user_count),
        title_embedding=titles_embedding,
        kernels=fitted.kernels,
        biases=fitted.biases,
        known=np.arange(user_count + 1) > 0,
    )
    _export(DenseRecommender(weights), "basic", "rating", weights, scratch)


def make_products(scratch: Path, user_count: int, title_count: int) -> None:
    """Write a relevance ranker of random vectors of lengths `FACTORS` and `RATING_FACTORS`."""
    import_tensorflow()
    from model.retrieval.dot_product_recommender import DotRecommender, DotWeights, Factors

    relevance, rating = (
        Factors(_draw(user_count + 1, size, 0), _draw(title_count + 1, size, 1), np.zeros(title_count + 1, np.float32))
        for size in (FACTORS, RATING_FACTORS)
    )
    known = np.arange(user_count + 1) > 0
    weights = DotWeights(_users(user_count), titles(title_count), relevance, rating, (1.0, 5.0), known)
    _export(DotRecommender(weights), "relevance", "relevance", weights, scratch)


def make_vectors(scratch: Path, user_count: int, title_count: int, factors: int) -> None:
    """Write a ranker of random vectors, and beside it the vectors without row 0 as `users.npy` and `titles.npy`."""
    import_tensorflow()
    from model.retrieval.dot_product_recommender import DotRecommender, DotWeights, Factors

    users, items = _draw(user_count + 1, factors, 0), _draw(title_count + 1, factors, 1)
    both = Factors(users, items, np.zeros(title_count + 1, np.float32))
    known = np.arange(user_count + 1) > 0
    weights = DotWeights(_users(user_count), titles(title_count), both, both, (1.0, 5.0), known)
    _export(DotRecommender(weights), "rating", "rating", weights, scratch)
    np.save(scratch / "users.npy", users[1:])
    np.save(scratch / "titles.npy", items[1:])


def _fit() -> DenseWeights:
    """Train with the settings of `--model basic` on all interactions of the sample, and print nothing."""
    from model.data.sources.sample import read_sample
    from model.data.vocabulary import Vocabulary
    from model.rankers.article.training import fit
    from model.rankers.settings import MODELS, ArticleSettings

    sample, settings = read_sample(), MODELS["basic"]
    assert isinstance(settings, ArticleSettings)
    with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(io.StringIO()):
        return fit(sample, sample.slice(0, 0), Vocabulary.of(sample), settings, 0, Path(logs)).weights


def _in_turn(table: np.ndarray, count: int) -> np.ndarray:
    """Row 0, then the other rows repeated: `[count + 1, D]`."""
    return np.concatenate([table[:1], table[1 + np.arange(count) % (len(table) - 1)]])


def _draw(rows: int, size: int, seed: int) -> np.ndarray:
    """Random vectors with products of about 1."""
    return np.random.default_rng(seed).standard_normal((rows, size), np.float32) / np.float32(size**0.25)


def _users(count: int) -> list[str]:
    return [f"user {number}" for number in range(count)]


def _export(recommender: Recommender, kind: str, score_kind: str, weights: Weights, scratch: Path) -> None:
    from model.artifact.export import export, model_version

    folder = scratch / "model"
    folder.mkdir(parents=True)
    description = {
        "model_kind": kind,
        "score_kind": score_kind,
        "model_version": model_version(kind, weights),
        "blessed": {"blessed": True, "why": ["It is a benchmark's."]},
    }
    export(recommender, description, folder)
