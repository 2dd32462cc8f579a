"""Fitting the article's models: the same weights for the same rows, and its figures on the real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from model.cli import InputError
from model.data.interactions import SCHEMA
from model.data.sources import read_interactions
from model.data.splits import split_interactions
from model.data.vocabulary import Vocabulary
from model.metrics.rating import measure_parts
from model.rankers.article.training import Fit, fit
from model.rankers.settings import MODELS, ArticleSettings, with_epochs
from model.retrieval.dense_recommender import DenseRecommender

SMALL = ArticleSettings(epochs=2, embedding_dimension=4, hidden_units=(8, 4), batch_size=64)


def checkerboard(users: int = 40, titles: int = 40) -> pa.Table:
    """Even users give even titles 5 stars and odd ones 1, odd users the other way; one pair in four is not rated."""
    user, title = np.divmod(np.arange(users * titles), titles)
    rated = (user * 7 + title * 3) % 4 > 0
    user, title = user[rated], title[rated]
    return pa.table(
        [
            pa.array([f"u{number}" for number in user]),
            pa.array([f"t{number}" for number in title]),
            pa.array(np.where(user % 2 == title % 2, 5, 1).astype(np.float32)),
            pa.array(np.arange(len(user))),
        ],
        schema=SCHEMA,
    )


def fit_all(table: pa.Table, settings: ArticleSettings, seed: int, folder: Path) -> Fit:
    return fit(table, table.slice(0, 0), Vocabulary.of(table), settings, seed, folder)


def arrays(fitted: Fit) -> list[np.ndarray]:
    weights = fitted.weights
    return [weights.user_embedding, weights.title_embedding, *weights.kernels, *weights.biases]


def test_same_seed_same_weights_whatever_the_order_of_rows(tmp_path: Path) -> None:
    table = checkerboard()
    shuffled = table.take(np.random.default_rng(3).permutation(table.num_rows))
    first, second = (fit_all(rows, SMALL, 0, tmp_path) for rows in (table, shuffled))
    assert len(arrays(first)) == 2 + 3 + 3
    for one, other in zip(arrays(first), arrays(second), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first.history == second.history


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first, second = (fit_all(checkerboard(), SMALL, seed, tmp_path) for seed in (0, 1))
    assert not np.array_equal(first.weights.kernels[0], second.weights.kernels[0])


def test_learns_a_checkerboard(tmp_path: Path) -> None:
    table = checkerboard()
    settings = ArticleSettings(epochs=150, embedding_dimension=8, hidden_units=(32, 16), batch_size=256)
    predict = DenseRecommender(fit_all(table, settings, 0, tmp_path).weights).predict
    user, title = np.divmod(np.arange(1_600), 40)
    ratings = predict(
        np.array([f"u{number}" for number in user], object), np.array([f"t{number}" for number in title], object)
    )
    alike = user % 2 == title % 2
    # Every pair, the quarter that was never rated among them.
    assert ratings[alike].min() > 3 > ratings[~alike].max()


def test_unknown_users_get_the_mean_of_the_trained_ones(tmp_path: Path) -> None:
    table = checkerboard(users=4, titles=4)
    train = table.filter(pa.array([user != "u3" for user in table["user_id"].to_pylist()]))
    fitted = fit(train, train.slice(0, 0), Vocabulary.of(table), SMALL, 0, tmp_path)
    embedding, known = fitted.weights.user_embedding, fitted.weights.known
    assert known.tolist() == [False, True, True, True, False]
    np.testing.assert_allclose(embedding[0], embedding[1:4].mean(axis=0), rtol=1e-6)


def test_no_epochs_is_refused() -> None:
    with pytest.raises(InputError, match="ArticleSettings: epochs is 0; give at least 1"):
        with_epochs(MODELS["basic"], 0)


@pytest.mark.parametrize(("kind", "lowest", "highest"), [("basic", 1.11, 1.14), ("tuned", 1.0, 1.045)])
def test_the_articles_figures(movielens_dir: Path, tmp_path: Path, kind: str, lowest: float, highest: float) -> None:
    table = read_interactions(str(movielens_dir)).table
    split = split_interactions(table, "time")
    assert [part.num_rows for part in split.parts.values()] == [65_336, 15_778, 18_886]
    fitted = fit(split.train, split.validation, Vocabulary.of(table), MODELS[kind], 0, tmp_path)
    assert fitted.parameters == 116_641
    metrics = measure_parts(DenseRecommender(fitted.weights).predict, split.parts)
    assert lowest <= metrics["test"]["rmse"] <= highest
    # What was measured after the last epoch by Keras is what the exported model says.
    assert metrics["validation"]["rmse"] == pytest.approx(fitted.history["val_rmse"][-1], abs=1e-4)
