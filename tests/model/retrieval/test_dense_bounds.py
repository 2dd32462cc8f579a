"""No score exceeds its bound, whatever the weights; and finding the best by bounds changes no bit of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.retrieval import dense_recommender, dense_top_k
from model.retrieval.blocks import Seen, Shape
from model.retrieval.dense_bounds import spread, upper_bound
from model.retrieval.dense_recommender import DenseRecommender, RankerWeights
from model.retrieval.signatures import Recommender
from tests import oracle

USERS, TITLES, K = 40, 1_500, 20


def trained_like(titles: int = TITLES) -> RankerWeights:
    """The article's sizes, as Keras starts them and a few epochs leave them: what raises the rating of all pairs has
    grown, so that most units of the second layer have one sign.
    """
    rng = np.random.default_rng(0)

    def glorot(rows: int, columns: int) -> np.ndarray:
        return rng.uniform(-1, 1, (rows, columns)).astype(np.float32) * np.float32(np.sqrt(6 / (rows + columns)))

    first, second, last = glorot(64, 256), glorot(256, 64), glorot(64, 1)
    bias = rng.normal(0, 0.06, 256).astype(np.float32)
    second += np.float32(0.04) * np.outer(bias > 0, np.sign(last)).astype(np.float32)
    return RankerWeights(
        user_ids=[f"u{i}" for i in range(USERS)],
        movie_titles=[f"t{i}" for i in range(titles)],
        user_embedding=rng.uniform(-0.05, 0.05, (USERS + 1, 32)).astype(np.float32),
        title_embedding=rng.uniform(-0.05, 0.05, (titles + 1, 32)).astype(np.float32),
        kernels=[first, second, last],
        biases=[bias, np.float32(0.1) * np.sign(last[:, 0]), np.full(1, 0.2, np.float32)],
        known=np.arange(USERS + 1) > 0,
    )


@st.composite
def networks(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    """Halves of users, embeddings of titles, and layers: of any scale, with ties, zeros, outliers and long sums."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = st.sampled_from([0.0, 1e-20, 1e-3, 0.1, 1.0, 1e3, 1e8])
    first, second, dimension = draw(st.sampled_from([(4, 3, 1), (16, 8, 4), (256, 64, 32)]))
    shapes = (5, first), (64, dimension), (dimension, first), (first, second), (second,), (second, 1), (1,)
    arrays = [rng.normal(size=shape) * draw(scale) for shape in shapes]
    for array in arrays:
        change = draw(st.sampled_from(["none", "none", "sign", "outlier", "positive", "equal"]))
        if change == "sign":
            array[...] = np.sign(array) * np.abs(array).max()
        elif change == "outlier":
            array[rng.integers(len(array))] *= 1e3
        elif change == "positive":
            array[...] = np.abs(array)
        elif change == "equal":
            array[...] = array[0]
    return tuple(array.astype(np.float32) for array in arrays)


def bounds_and_scores(users_half, embeddings, first_kernel, *layers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`[B, M]` thrice: bounds, scores in float32, and scores in float64 of the same first layer."""
    titles_half = tf.matmul(embeddings, first_kernel)
    reach = spread(tf.constant(embeddings), tf.constant(first_kernel), titles_half)
    slopes, constants = upper_bound(tf.constant(users_half), reach, *map(tf.constant, layers))
    bounds = dense_top_k._bounds(users_half, slopes, constants, titles_half)
    scores = dense_recommender._score_users(users_half, titles_half, *layers)
    kernel, bias, last_kernel, last_bias = (layer.astype(np.float64) for layer in layers)
    hidden = np.maximum((users_half[:, None] + titles_half.numpy()).astype(np.float64), 0)
    exact = np.maximum(hidden @ kernel + bias, 0) @ last_kernel[:, 0] + last_bias
    return bounds.numpy(), scores.numpy(), exact


@settings(max_examples=300, deadline=None)
@given(network=networks())
def test_no_score_exceeds_its_bound(network: tuple[np.ndarray, ...]) -> None:
    bounds, scores, exact = bounds_and_scores(*network)
    assert bounds.shape == scores.shape == exact.shape == (5, 64)
    # A bound that is not a number, as after an overflow, proves nothing.
    assert not (scores > bounds).any()
    assert not (exact > bounds).any()


def test_bounds_hold_where_squares_are_too_small_for_float32() -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        embeddings = (1e-20 * rng.normal(size=(64, 1))).astype(np.float32)
        sizes = {(1, 4): 1e-3, (4, 3): 1e-3, (3, 1): 1e3}
        first, second, last = ((size * rng.normal(size=shape)).astype(np.float32) for shape, size in sizes.items())
        layers = second, np.zeros(3, np.float32), last, np.zeros(1, np.float32)
        bounds, scores, exact = bounds_and_scores(np.zeros((5, 4), np.float32), embeddings, first, *layers)
        assert (scores <= bounds).all()
        assert (exact <= bounds).all()


def scaled(seed: int, **sizes: float) -> tuple[np.ndarray, ...]:
    """A network whose arrays have the deviations given, and its biases none."""
    rng = np.random.default_rng(seed)
    shapes = {"users": (5, 256), "titles": (64, 32), "first": (32, 256), "second": (256, 64), "last": (64, 1)}
    users, titles, first, second, last = (
        (sizes.get(name, 0.0) * rng.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()
    )
    return users, titles, first, second, np.zeros(64, np.float32), last, np.zeros(1, np.float32)


@pytest.mark.parametrize(
    "sizes",
    [
        {"users": 1e10, "second": 1e-20, "last": 1e-20},
        {"users": 1e15, "second": 1e-22, "last": 1e-22},
        {"users": 1e8, "titles": 1.0, "first": 1.0, "second": 1e8, "last": 1e-37},
    ],
)
def test_bounds_hold_where_products_of_weights_are_too_small_for_float32(sizes: dict[str, float]) -> None:
    for seed in range(5):
        bounds, scores, exact = bounds_and_scores(*scaled(seed, **sizes))
        assert np.abs(exact).max() > 1e-30
        assert (scores <= bounds).all()
        assert (exact <= bounds).all()


def test_bounds_of_a_trained_model_are_close() -> None:
    weights = trained_like()
    users_half = weights.user_embedding[:5] @ weights.kernels[0][:32] + weights.biases[0]
    layers = [array for pair in zip(weights.kernels[1:], weights.biases[1:], strict=True) for array in pair]
    titles = weights.title_embedding[: TITLES // 64 * 64]
    bounds, scores, _ = bounds_and_scores(users_half, titles, weights.kernels[0][32:], *layers)
    assert (scores <= bounds).all()
    assert (bounds - scores).mean() < scores.std(axis=1).mean() / 4


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_nothing_is_proven_of_what_is_no_number(value: float) -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(64, 4)).astype(np.float32)
    embeddings[7, 2] = value
    kernel = rng.normal(size=(4, 16)).astype(np.float32)
    halves = tf.matmul(embeddings, kernel)
    layers = [rng.normal(size=shape).astype(np.float32) for shape in ((16, 8), (8,), (8, 1), (1,))]
    _, constants = upper_bound(
        tf.zeros([2, 16]), spread(tf.constant(embeddings), tf.constant(kernel), halves), *map(tf.constant, layers)
    )
    assert not np.isfinite(constants).any()
    assert not (constants.numpy() == -np.inf).any()


def test_at_the_cut_an_equal_score_proves_nothing_and_equals_come_in_order_of_position() -> None:
    rng = np.random.default_rng(5)
    count, keep, depth = 64, 8, 3
    users_half, embeddings, kernel, *layers = (
        tf.constant(rng.normal(size=shape), tf.float32)
        for shape in ((2, 16), (count, 4), (4, 16), (16, 8), (8,), (8, 1), (1,))
    )
    titles_half = tf.matmul(embeddings, kernel)
    reach = spread(embeddings, kernel, titles_half)
    bounds = dense_top_k._bounds(users_half, *upper_bound(users_half, reach, *layers), titles_half).numpy()
    order = np.argsort(-bounds, axis=1, kind="stable")
    shape = Shape(*map(tf.constant, (2, count, count, depth, 0)))

    def found(score: np.ndarray) -> dense_top_k.Narrowed:
        """With every candidate of a user scored so."""
        scores = tf.repeat(tf.constant(score, tf.float32), keep)
        narrow = dense_top_k.narrower(titles_half, reach, lambda hidden: scores, layers, shape, multiple=keep)
        return narrow(users_half, Seen.nothing(2))

    cut = bounds[[0, 1], order[:, keep]]
    assert found(cut).proven.numpy().tolist() == [False, False]
    above = found(np.nextafter(cut, np.float32(np.inf)))
    assert above.proven.numpy().tolist() == [True, True]
    assert above.index.numpy().tolist() == np.sort(order[:, :keep], axis=1)[:, :depth].tolist()


class AllScored(DenseRecommender):
    """Without bounds."""

    chooser = Recommender.chooser


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Recommender, Recommender]]:
    """Of each kind of weights the model that narrows and one that does not, saved and loaded again."""
    weights = trained_like()
    rng = np.random.default_rng(1)
    # A hundred titles that differ, so the k-th best has equals left and right of the cut.
    tied = replace(weights, title_embedding=weights.title_embedding[rng.integers(0, 100, TITLES + 1)])
    drawn = oracle.random_weights(USERS, TITLES, rng, hidden=(256, 64))

    def pair(weights: RankerWeights) -> tuple[Recommender, Recommender]:
        narrowed, plain = DenseRecommender(weights), AllScored(weights)
        return reloaded(narrowed, tmp_path_factory.mktemp("model")), reloaded(plain, tmp_path_factory.mktemp("model"))

    made = [pair(weights), pair(tied)]
    with pytest.MonkeyPatch.context() as patch:
        # Bounds are used although they prove nothing, so every user is scored again.
        patch.setattr(dense_recommender, "PAYS_FROM", 0.0)
        made.append(pair(drawn))
    return made


def reloaded(model: Recommender, folder: Path) -> Recommender:
    model.save(folder)
    return tf.saved_model.load(str(folder))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("k", [0, 1, K, 70, TITLES + 10])
def test_narrowing_changes_no_bit(models, number: int, k: int) -> None:
    narrowed, plain = models[number]
    # Of the first user nearly all is seen, of the second what is best, of the others what comes.
    rng = np.random.default_rng(2)
    users = [*(f"u{i}" for i in range(USERS)), "stranger"]
    titles = [f"t{i}" for i in range(TITLES)]
    best = plain.recommend(tf.constant(users[1:2]), tf.constant(titles), [], tf.constant([0, 0], tf.int64), 300)
    seen = [rng.permutation(TITLES)[10:], best["index"][0].numpy(), *(rng.integers(0, TITLES, 90) for _ in users[2:])]
    request = (
        tf.constant(users),
        tf.constant(titles),
        tf.constant(np.concatenate(seen), tf.int32),
        tf.constant(np.cumsum([0, *map(len, seen)]), tf.int64),
        tf.constant(k),
    )
    found, expected = narrowed.recommend(*request), plain.recommend(*request)
    assert found["index"].shape == (len(users), k)
    for name in ("index", "score"):
        np.testing.assert_array_equal(found[name], expected[name])


def test_few_pairs_of_a_trained_model_are_scored(models) -> None:
    users, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    pairs = models[0][0].pairs_scored(tf.constant(users), tf.constant(titles), tf.constant(K))["pairs"]
    assert pairs.shape == (USERS,)
    assert set(pairs.numpy().tolist()) <= {64, TITLES + 64}
    assert np.mean(pairs) < TITLES / 8


def test_whom_bounds_prove_nothing_of_is_scored_in_full(models) -> None:
    users, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    pairs = models[2][0].pairs_scored(tf.constant(users), tf.constant(titles), tf.constant(K))["pairs"]
    assert pairs.numpy().tolist() == [TITLES + 64] * USERS


def test_all_pairs_of_random_weights_are_scored_once() -> None:
    model = DenseRecommender(oracle.random_weights(50, TITLES, np.random.default_rng(3)))
    users, titles = [f"u{i}" for i in range(50)], [f"t{i}" for i in range(TITLES)]
    pairs = model.pairs_scored(tf.constant(users), tf.constant(titles), tf.constant(K))["pairs"]
    assert pairs.numpy().tolist() == [TITLES] * 50


def test_of_few_candidates_all_are_scored(models) -> None:
    pairs = models[0][0].pairs_scored(tf.constant(["u1"]), tf.constant(["t1", "t2"]), tf.constant(1))["pairs"]
    assert pairs.numpy().tolist() == [2]


def test_other_depths_have_no_bounds_and_still_work() -> None:
    model = DenseRecommender(oracle.random_weights(3, 300, np.random.default_rng(4), hidden=(16, 8, 4)))
    titles = tf.constant([f"t{i}" for i in range(300)])
    assert model.pairs_scored(tf.constant(["u1"]), titles, tf.constant(5))["pairs"].numpy().tolist() == [300]
    assert model.recommend(tf.constant(["u1"]), titles, [], tf.constant([0, 0], tf.int64), 5)["index"].shape == (1, 5)
