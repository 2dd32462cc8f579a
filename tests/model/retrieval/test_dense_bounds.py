"""No score exceeds its bound, whatever the weights; and a search by bounds changes no bit of the results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.retrieval import dense_recommender, dense_top_k
from model.retrieval.blocks import SearchSizes, Seen
from model.retrieval.dense_bounds import enclose, upper_bound
from model.retrieval.dense_recommender import DenseRecommender, DenseWeights
from model.retrieval.signatures import Recommender
from tests import oracle

USERS, TITLES, K = 40, 1_500, 20


def trained_like(titles: int = TITLES) -> DenseWeights:
    """The article's sizes, with weights as Keras draws them and a few epochs of training change them.

    Training has strengthened what raises all ratings, so most units of the second layer have the same sign for all
    pairs.
    """
    rng = np.random.default_rng(0)

    def glorot(rows: int, columns: int) -> np.ndarray:
        return rng.uniform(-1, 1, (rows, columns)).astype(np.float32) * np.float32(np.sqrt(6 / (rows + columns)))

    first, second, last = glorot(64, 256), glorot(256, 64), glorot(64, 1)
    bias = rng.normal(0, 0.06, 256).astype(np.float32)
    second += np.float32(0.04) * np.outer(bias > 0, np.sign(last)).astype(np.float32)
    return DenseWeights(
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
    """Halves of users, embeddings of titles, and layers: of every scale, with ties, zeros, outliers and long sums."""
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
    """Bounds, scores in float32, and scores in float64 from the same first layer: `[B, M]` each."""
    titles_half = tf.matmul(embeddings, first_kernel)
    enclosure = enclose(tf.constant(embeddings), tf.constant(first_kernel), titles_half)
    slopes, constants = upper_bound(tf.constant(users_half), enclosure, *map(tf.constant, layers))
    bounds = dense_top_k._bounds(users_half, slopes, constants, titles_half)
    scores = dense_recommender._score_users(dense_recommender.ROW_MULTIPLE, users_half, titles_half, *layers)
    kernel, bias, last_kernel, last_bias = (layer.astype(np.float64) for layer in layers)
    hidden = np.maximum((users_half[:, None] + titles_half.numpy()).astype(np.float64), 0)
    exact = np.maximum(hidden @ kernel + bias, 0) @ last_kernel[:, 0] + last_bias
    return bounds.numpy(), scores.numpy(), exact


@settings(max_examples=300, deadline=None)
@given(network=networks())
def test_no_score_exceeds_its_bound(network: tuple[np.ndarray, ...]) -> None:
    bounds, scores, exact = bounds_and_scores(*network)
    assert bounds.shape == scores.shape == exact.shape == (5, 64)
    # A bound that is NaN, as after an overflow, proves nothing.
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
    """A network whose arrays have these standard deviations, or are 0; the biases are 0."""
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
def test_nothing_is_proven_about_numbers_that_are_not_finite(value: float) -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(64, 4)).astype(np.float32)
    embeddings[7, 2] = value
    kernel = rng.normal(size=(4, 16)).astype(np.float32)
    halves = tf.matmul(embeddings, kernel)
    layers = [rng.normal(size=shape).astype(np.float32) for shape in ((16, 8), (8,), (8, 1), (1,))]
    _, constants = upper_bound(
        tf.zeros([2, 16]), enclose(tf.constant(embeddings), tf.constant(kernel), halves), *map(tf.constant, layers)
    )
    assert not np.isfinite(constants).any()
    assert not (constants.numpy() == -np.inf).any()


def test_a_score_equal_to_the_highest_bound_left_out_proves_nothing_and_ties_are_sorted_by_index() -> None:
    rng = np.random.default_rng(5)
    count, size, depth = 64, 8, 3
    users_half, embeddings, kernel, *layers = (
        tf.constant(rng.normal(size=shape), tf.float32)
        for shape in ((2, 16), (count, 4), (4, 16), (16, 8), (8,), (8, 1), (1,))
    )
    titles_half = tf.matmul(embeddings, kernel)
    enclosure = enclose(embeddings, kernel, titles_half)
    # The compiled bound, which the search uses: outside XLA its last bits may differ.
    linear = dense_top_k._upper_bound(users_half, enclosure, *layers)
    bounds = dense_top_k._bounds(users_half, *linear, titles_half).numpy()
    order = np.argsort(-bounds, axis=1, kind="stable")
    sizes = SearchSizes(*map(tf.constant, (2, count, count, depth, 0)))

    def found(score: np.ndarray) -> dense_top_k.ShortlistTopK:
        """The result if every candidate of a user has this score."""
        scores = tf.repeat(tf.constant(score, tf.float32), size)
        search = dense_top_k.shortlist_search(
            titles_half, enclosure, lambda hidden: scores, layers, sizes, multiple=size
        )
        return search(users_half, Seen.nothing(2))

    cut = bounds[[0, 1], order[:, size]]
    assert found(cut).proven.numpy().tolist() == [False, False]
    above = found(np.nextafter(cut, np.float32(np.inf)))
    assert above.proven.numpy().tolist() == [True, True]
    assert above.index.numpy().tolist() == np.sort(order[:, :size], axis=1)[:, :depth].tolist()


class AllScored(DenseRecommender):
    """Scores everything, without bounds."""

    block_top_k = Recommender.block_top_k


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Recommender, Recommender]]:
    """For each kind of weights, a model that uses shortlists and one that does not, saved and loaded again."""
    weights = trained_like()
    rng = np.random.default_rng(1)
    # Only a hundred different titles, so candidates equal to the k-th best are on the shortlist and off it.
    tied = replace(weights, title_embedding=weights.title_embedding[rng.integers(0, 100, TITLES + 1)])
    drawn = oracle.random_weights(USERS, TITLES, rng, hidden=(256, 64))

    def pair(weights: DenseWeights) -> tuple[Recommender, Recommender]:
        shortlisted, plain = DenseRecommender(weights), AllScored(weights)
        return reloaded(shortlisted, tmp_path_factory.mktemp("model")), reloaded(
            plain, tmp_path_factory.mktemp("model")
        )

    made = [pair(weights), pair(tied)]
    with pytest.MonkeyPatch.context() as patch:
        # Shortlists are used although they prove nothing, so every user is scored again.
        patch.setattr(dense_recommender, "MIN_PROVEN_SHARE", 0.0)
        made.append(pair(drawn))
    return made


def reloaded(model: Recommender, folder: Path) -> Recommender:
    model.save(folder)
    return tf.saved_model.load(str(folder))


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("k", [0, 1, K, 70, TITLES + 10])
def test_shortlists_change_no_bit(models, number: int, k: int) -> None:
    shortlisted, plain = models[number]
    # The first user has seen nearly everything, the second the best candidates, the others some at random.
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
    found, expected = shortlisted.recommend(*request), plain.recommend(*request)
    assert found["index"].shape == (len(users), k)
    for name in ("index", "score"):
        np.testing.assert_array_equal(found[name], expected[name])


def test_few_pairs_of_a_trained_model_are_scored(models) -> None:
    users, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    pairs = models[0][0].pairs_scored(tf.constant(users), tf.constant(titles), tf.constant(K))["pairs"]
    assert pairs.shape == (USERS,)
    assert set(pairs.numpy().tolist()) <= {64, TITLES + 64}
    assert np.mean(pairs) < TITLES / 8


def test_unproven_users_are_scored_in_full(models) -> None:
    users, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    pairs = models[2][0].pairs_scored(tf.constant(users), tf.constant(titles), tf.constant(K))["pairs"]
    assert pairs.numpy().tolist() == [TITLES + 64] * USERS


def test_all_pairs_of_random_weights_are_scored_once() -> None:
    model = DenseRecommender(oracle.random_weights(50, TITLES, np.random.default_rng(3)))
    users, titles = [f"u{i}" for i in range(50)], [f"t{i}" for i in range(TITLES)]
    pairs = model.pairs_scored(tf.constant(users), tf.constant(titles), tf.constant(K))["pairs"]
    assert pairs.numpy().tolist() == [TITLES] * 50


def test_all_of_a_few_candidates_are_scored(models) -> None:
    pairs = models[0][0].pairs_scored(tf.constant(["u1"]), tf.constant(["t1", "t2"]), tf.constant(1))["pairs"]
    assert pairs.numpy().tolist() == [2]


def test_networks_of_other_depths_have_no_bounds_and_still_work() -> None:
    model = DenseRecommender(oracle.random_weights(3, 300, np.random.default_rng(4), hidden=(16, 8, 4)))
    titles = tf.constant([f"t{i}" for i in range(300)])
    assert model.pairs_scored(tf.constant(["u1"]), titles, tf.constant(5))["pairs"].numpy().tolist() == [300]
    assert model.recommend(tf.constant(["u1"]), titles, [], tf.constant([0, 0], tf.int64), 5)["index"].shape == (1, 5)
