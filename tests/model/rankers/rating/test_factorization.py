"""The rating model: it finds a known structure again, serves the unknown by side data, leaves nothing to chance."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from model.data.interactions import SCHEMA
from model.data.sources import read_interactions
from model.data.vocabulary import Vocabulary
from model.rankers.rating.factorization import RatingFactors, RatingModel
from model.rankers.rating.training import fit_rating, popularity, with_constant
from model.rankers.settings import RatingSettings

SMALL = RatingSettings(members=2, factors=3, epochs=60, warm_up=0.4, learning_rate=0.05, batch_size=512)
BRIEF = RatingSettings(members=2, factors=2, epochs=3, batch_size=256)
USERS, TITLES = 80, 50


def world() -> tuple[np.ndarray, np.ndarray]:
    """Ratings of all pairs, `float32[80, 50]` in steps of a half, and the same without rounding."""
    random = np.random.default_rng(5)
    taste, style = random.normal(0, 0.7, (USERS, 2)), random.normal(0, 1, (TITLES, 2))
    bias = 3 + random.normal(0, 0.3, (USERS, 1)) + random.normal(0, 0.4, TITLES)
    clean = np.clip(bias + taste @ style.T, 0.5, 5)
    return np.clip(np.round(2 * (clean + random.normal(0, 0.3, clean.shape))) / 2, 0.5, 5).astype(np.float32), clean


def table_of(user: np.ndarray, title: np.ndarray, rating: np.ndarray) -> pa.Table:
    ids, titles = [f"u{number:02d}" for number in user], [f"t{number:02d}" for number in title]
    return pa.table([ids, titles, rating.astype(np.float32), np.arange(len(user))], schema=SCHEMA)


def rated(share: float) -> tuple[pa.Table, np.ndarray]:
    """Ratings of a share of the pairs, and which, `bool[80, 50]`."""
    ratings, _ = world()
    chosen = np.random.default_rng(6).random(ratings.shape) < share
    user, title = np.nonzero(chosen)
    return table_of(user, title, ratings[chosen]), chosen


def fitted(table: pa.Table, settings: RatingSettings, seed: int = 0) -> tuple[RatingFactors, dict[str, list[float]]]:
    words = [f"u{number:02d}" for number in range(USERS)], [f"t{number:02d}" for number in range(TITLES)]
    return fit_rating(table, table.slice(0, 200), Vocabulary(*words), settings, seed, None)


def arrays(factors: RatingFactors) -> list[np.ndarray]:
    return [factors.user_bias, factors.title_bias, factors.user_vectors, factors.title_vectors]


def rmse(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(np.mean((one - other) ** 2)))


def test_members_are_told_of_those_who_watch_as_much_as_the_settings_say() -> None:
    model = RatingModel(
        np.ones((4, 1), np.float32),
        np.ones((5, 1), np.float32),
        np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32),
        mean=3.0,
        rows=10,
        settings=replace(BRIEF, members=3, co_occurrence=(0, 2)),
    )
    every = {name: [0, 1, 2, 3] for name in ("user_row", "title_row")} | {"user_rating": [1.0, 2.0, 3.0, 4.0]}
    with tf.GradientTape() as tape:
        loss = model.compute_loss({name: tf.constant(values) for name, values in every.items()})
    gradients = tape.gradient(loss, [model.title_tower.side.mean, model.title_tower.side.log_deviation])
    for gradient in gradients:
        moved = np.any(gradient.numpy() != 0, axis=2)
        # A row a feature: the constant, and the three by who watched; a column a member.
        np.testing.assert_array_equal(moved, [[1, 1, 1], [0, 1, 0], [0, 1, 0], [0, 0, 0]])


def test_finds_the_structure_in_ratings_of_half_stars() -> None:
    _, clean = world()
    table, chosen = rated(0.5)
    factors, history = fitted(table, SMALL)
    user, title = np.nonzero(~chosen)
    predicted = factors.predict(user + 1, title + 1)
    additive = factors.mean + factors.user_bias[user + 1] + factors.title_bias[title + 1]
    assert len(predicted) > 1_500
    # What noise and rounding allow: without either it would be zero. Biases alone stay at what tastes add.
    assert rmse(predicted, clean[~chosen]) < 0.3 < 0.6 < rmse(additive, clean[~chosen])
    assert (factors.low, factors.high) == (0.5, 5.0)
    assert len(history["loss"]) == len(history["val_rmse"]) == SMALL.epochs


def test_the_factors_are_what_the_model_says() -> None:
    """The arrays that are exported give the error that Keras measured with the model, but for the clipping."""
    ratings = np.clip(world()[0], 2, 4)
    user, title = np.divmod(np.arange(USERS * TITLES), TITLES)
    table = table_of(user, title, ratings.ravel())
    factors, history = fitted(table, BRIEF)
    user, title = user[:200] + 1, title[:200] + 1
    product = (factors.user_vectors[user] * factors.title_vectors[title]).sum(axis=1)
    raw = factors.mean + factors.user_bias[user] + factors.title_bias[title] + product
    assert history["val_rmse"][-1] == pytest.approx(rmse(raw, ratings.ravel()[:200]), abs=1e-4)
    np.testing.assert_allclose(factors.predict(user, title), np.clip(raw, 2, 4), rtol=1e-5)
    assert all(array.dtype == np.float32 for array in arrays(factors))
    assert [len(array) for array in arrays(factors)] == [USERS + 1, TITLES + 1, USERS + 1, TITLES + 1]


def test_same_seed_same_weights_whatever_the_order_of_rows() -> None:
    table, _ = rated(0.3)
    words = Vocabulary.of(table)
    shuffled = table.take(np.random.default_rng(3).permutation(table.num_rows))
    none = table.slice(0, 0)
    first, second = (fit_rating(rows, none, words, BRIEF, 0, None) for rows in (table, shuffled))
    for one, other in zip(arrays(first[0]), arrays(second[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert first[1] == second[1]
    assert "val_rmse" not in first[1]
    third, _ = fit_rating(table, none, words, BRIEF, 1, None)
    assert not np.array_equal(first[0].user_vectors, third.user_vectors)


def test_users_without_ratings_are_served_by_what_is_known_of_them() -> None:
    """Women give 4 and men 2; of the last ten users of each there is no rating, only the gender."""
    user, title = np.divmod(np.arange(USERS * TITLES), TITLES)
    woman = user % 2 == 0
    noise = np.random.default_rng(7).normal(0, 0.5, len(user))
    table = table_of(user, title, np.where(woman, 4, 2) + noise).append_column("user_gender", pa.array(woman))
    train = table.filter(pa.array(user < USERS - 20))
    factors, _ = fit_rating(train, train.slice(0, 0), Vocabulary.of(table), SMALL, 0, None, table)
    rows = np.arange(USERS - 20, USERS) + 1
    predicted = factors.predict(rows, np.ones(20, int))
    assert predicted[rows % 2 == 1].min() > 3.7
    assert predicted[rows % 2 == 0].max() < 2.3
    # The unknown are the average.
    assert factors.predict(np.array([0]), np.array([0]))[0] == pytest.approx(3, abs=0.3)


def test_without_anything_known_all_who_are_new_are_the_unknown() -> None:
    table, _ = rated(0.3)
    train = table.filter(pa.array([int(user[1:]) < 70 for user in table["user_id"].to_pylist()]))
    factors, _ = fitted(train, BRIEF)
    np.testing.assert_array_equal(factors.user_vectors[71:], np.tile(factors.user_vectors[:1], (10, 1)))
    np.testing.assert_array_equal(factors.user_bias[71:], np.tile(factors.user_bias[:1], 10))
    assert len(np.unique(factors.user_bias[1:71])) == 70


def test_popularity_is_zero_for_what_nobody_rated_and_rises_with_the_ratings() -> None:
    scale = popularity(np.array([0, 1, 10, 100]))[:, 0]
    assert scale[0] == 0
    assert scale[1] < scale[2] < scale[3]
    np.testing.assert_allclose([scale[1:].mean(), scale[1:].std()], [0, 1], atol=1e-6)
    np.testing.assert_array_equal(popularity(np.array([4, 4, 0])), np.zeros((3, 1)))


def test_rows_of_which_nothing_is_known_are_the_average() -> None:
    features = with_constant(np.array([[1, 0], [0, 0], [0, 1], [0, 1]], np.float32))
    third = np.float32(1 / 3)
    expected = [[1, 0, 0], [1, 2 * third, -2 * third], [1, 0, 0], [1, -third, third], [1, -third, third]]
    np.testing.assert_allclose(features, expected, atol=1e-6)
    np.testing.assert_array_equal(with_constant(np.zeros((2, 0), np.float32)), np.ones((3, 1)))


def test_movielens_u1(movielens_dir: Path) -> None:
    """One member and few epochs, for the time; the figures of the defaults are in the README."""
    train, test = (read_interactions(str(movielens_dir / name)).table for name in ("u1.base", "u1.test"))
    assert (train.num_rows, test.num_rows) == (80_000, 20_000)
    settings = RatingSettings(members=1, factors=10, epochs=12, warm_up=0.4, learning_rate=0.05, batch_size=8_192)
    _, history = fit_rating(train, test, Vocabulary.of(pa.concat_tables([train, test])), settings, 0, None)
    # Biases alone, shrunk by 5, come to 0.955.
    assert 0.88 < history["val_rmse"][-1] < 0.93
