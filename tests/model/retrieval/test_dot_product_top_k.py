"""Rankers by dot products against plain NumPy, saved and loaded again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.retrieval import approximate_scores, dot_product_recommender, dot_product_top_k, exact_dot_products
from model.retrieval.dot_product_recommender import DotRecommender, DotWeights, Factors
from tests import oracle

USERS, TITLES, DIMENSION = 7, 11, 5


def random_factors(seed: int, whole: bool = False) -> Factors:
    """If `whole`, of whole numbers: scores tie, and are exact in any order of summing."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return (rng.integers(-2, 3, shape) if whole else rng.normal(size=shape)).astype(np.float32)

    return Factors(draw(USERS + 1, DIMENSION), draw(TITLES + 1, DIMENSION), draw(TITLES + 1))


def weights(relevance: Factors, rating: Factors) -> DotWeights:
    ids, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    return DotWeights(ids, titles, relevance, rating, (-1.0, 1.0), np.arange(USERS + 1) > 0)


def rows(words: list[str], letter: str) -> list[int]:
    return [int(word[1:]) + 1 if word[:1] == letter and word[1:].isdigit() else 0 for word in words]


def values(factors: Factors, users: list[str], titles: list[str]) -> np.ndarray:
    user, title = rows(users, "u"), rows(titles, "t")
    return factors.user_vectors[user] @ factors.title_vectors[title].T + factors.title_bias[title]


class Loaded:
    """A model that went to disk and back."""

    def __init__(self, made: DotWeights, folder: Path) -> None:
        self.weights = made
        DotRecommender(made).save(folder)
        self.model = tf.saved_model.load(str(folder))

    def ratings(self, users, titles):
        """`float32[B, M]` by `serving_default`, every pair."""
        served = self.model.signatures["serving_default"](
            user_id=tf.constant(np.repeat(users, len(titles))), movie_title=tf.constant(np.tile(titles, len(users)))
        )
        return served["user_rating"].numpy().reshape(len(users), len(titles))

    def recommend(self, users, titles, seen, k):
        answer = self.model.signatures["recommend"](
            user_id=tf.constant(users, tf.string, [len(users)]),
            candidates=tf.constant(titles, tf.string, [len(titles)]),
            seen_values=tf.constant([place for row in seen for place in row], tf.int32),
            seen_row_splits=tf.constant(np.concatenate([[0], np.cumsum([len(row) for row in seen])]), tf.int64),
            k=tf.constant(k, tf.int32),
        )
        return answer["index"].numpy(), answer["score"].numpy()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    """One whose scores tie, in `both_sizes`."""
    return both_sizes(weights(random_factors(0, whole=True), random_factors(1)), tmp_path_factory)


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    """The `near_ties`, in `both_sizes`."""
    return both_sizes(near_ties(), tmp_path_factory)


def near_ties() -> DotWeights:
    """Ranks by ratings that bfloat16 cannot tell apart, far from 0, with title vectors of many lengths."""
    rng = np.random.default_rng(3)
    drawn = random_factors(3)
    lengths = rng.choice([0.1, 1, 30], TITLES + 1)[:, None]
    titles = (drawn.title_vectors[rng.integers(0, 3, TITLES + 1)] + 1e-4 * drawn.title_vectors) * lengths + 5
    factors = Factors(drawn.user_vectors, titles.astype(np.float32), 100 + drawn.title_bias * np.float32(1e-4))
    return weights(factors, factors)


def both_sizes(made: DotWeights, folders: pytest.TempPathFactory) -> list[Loaded]:
    """A model as it is, and one with blocks of two users, chunks of 128 candidates and batches of three pairs."""
    models = [Loaded(made, folders.mktemp("model"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dot_product_recommender, "BLOCK_SIZES", (2,))
        patch.setattr(dot_product_recommender, "MAX_CHUNK", 128)
        patch.setattr(exact_dot_products, "PAIRS_PER_BATCH", 3)
        models.append(Loaded(made, folders.mktemp("model")))
    return models


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[str], list[str], list[list[int]], int]:
    users = draw(st.lists(st.sampled_from([*(f"u{i}" for i in range(USERS)), "stranger", ""]), max_size=9))
    titles = draw(st.lists(st.sampled_from([*(f"t{i}" for i in range(TITLES)), "unheard of", ""]), max_size=30))
    lists = st.lists(st.integers(0, len(titles) - 1), max_size=len(titles)) if titles else st.just([])
    return users, titles, [draw(lists) for _ in users], draw(st.integers(0, 35))


def test_an_answer_is_the_same_without_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scan only says which candidates can be left out. Whatever computes it, and in whatever order it sums, the
    scores are those of `exact_scores`, whose order is fixed."""
    users, titles = ([f"{letter}{i}" for i in range(count)] for letter, count in (("u", USERS), ("t", TITLES)))

    def answer() -> dict[str, np.ndarray]:
        seen = tf.constant([3, 4, 5], tf.int32), tf.constant([0, 3] + [3] * (USERS - 1), tf.int64)
        model = DotRecommender(near_ties())
        best = model.recommend(tf.constant(users), tf.constant(titles), *seen, tf.constant(5))
        return {name: values.numpy() for name, values in best.items()}

    compiled = answer()
    calls = []

    def approximate(vectors: tf.Tensor, rounded: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        calls.append(mask)
        halved = tf.cast(tf.concat([vectors, vectors[:, -1:]], axis=1), tf.bfloat16)
        scores = tf.matmul(tf.cast(halved, tf.float32), tf.cast(rounded, tf.float32), transpose_b=True)
        return scores + tf.cast(mask, tf.float32)

    monkeypatch.setattr(approximate_scores, "approximate_scores", approximate)
    for name in ("prepare_users", "scan", "scan_first"):
        monkeypatch.setattr(dot_product_top_k, name, getattr(approximate_scores, name).python_function)
    monkeypatch.setattr(exact_dot_products, "_exact_scores", exact_dot_products._exact_scores.python_function)
    plain = answer()
    assert calls
    assert all(np.array_equal(plain[name], compiled[name]) for name in ("index", "score"))


@settings(max_examples=100, deadline=None)
@given(request=requests(), number=st.integers(0, 1))
def test_equals_brute_force(models: list[Loaded], request, number: int) -> None:
    users, titles, seen, k = request
    index, score = models[number].recommend(users, titles, seen, k)
    expected = values(models[number].weights.relevance, users, titles)
    for b, best in enumerate(oracle.best(expected, seen, k)):
        missing = k - len(best)
        assert index[b].tolist() == best + [-1] * missing
        assert score[b].tolist() == expected[b, best].tolist() + [-np.inf] * missing


@pytest.mark.parametrize("number", [0, 1])
def test_ratings_of_the_recommended_are_those_of_the_pairs_to_the_bit(models: list[Loaded], number: int) -> None:
    model, users, titles, k = models[number], ["u0", "u5", "stranger"], ["t1", "new", "t3", "t9"], 4
    best = model.model.signatures["recommend_rated"](
        user_id=tf.constant(users),
        candidates=tf.constant(titles),
        seen_values=tf.constant([0, 3], tf.int32),
        seen_row_splits=tf.constant([0, 0, 2, 2], tf.int64),
        k=tf.constant(k),
    )
    index, rating, served = best["index"].numpy(), best["user_rating"].numpy(), model.ratings(users, titles)
    assert (index < 0).tolist() == [[False] * k, [False, False, True, True], [False] * k]
    given = index >= 0
    assert (rating == np.take_along_axis(served, np.maximum(index, 0), axis=1))[given].all()
    expected = np.clip(values(model.weights.rating, users, titles), -1, 1)
    np.testing.assert_allclose(served, expected, atol=1e-5)
    assert (np.abs(served) == 1).any()


def test_where_titles_are_ranked_by_rating_the_best_do_not_tie_at_the_end_of_the_range(tmp_path: Path) -> None:
    factors = random_factors(2)
    model = Loaded(weights(factors, factors), tmp_path)
    users, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    _, score = model.recommend(users, titles, [[]] * USERS, TITLES)
    served = model.ratings(users, titles)
    assert score.tolist() == (-np.sort(-served)).tolist()
    assert score.max() > 1


def test_many_equal_titles_come_in_order(models: list[Loaded]) -> None:
    index, score = models[0].recommend(["u1"], [f"new {i}" for i in range(70_000)], [[0, 2]], 4)
    assert index.tolist() == [[1, 3, 4, 5]]
    assert len(set(score[0].tolist())) == 1


def many(seed: int, users: int, titles: int) -> tuple[list[str], list[str], list[list[int]]]:
    """A request in which every title occurs often, some are unknown, and some users have seen most of them."""
    rng = np.random.default_rng(seed)
    names = [f"t{i}" if i < TITLES else f"new {i}" for i in rng.integers(0, TITLES + 2, titles)]
    shares = rng.choice([0, 0.01, 0.9], users)
    seen = [rng.choice(titles, int(share * titles)).tolist() for share in shares]
    return [f"u{i}" if i < USERS else "stranger" for i in rng.integers(0, USERS + 1, users)], names, seen


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("k", [1, 7, 60, 300, 699, 701])
@pytest.mark.parametrize("which", ["models", "near"])
def test_many_candidates_equal_brute_force(request: pytest.FixtureRequest, which: str, k: int, number: int) -> None:
    model = request.getfixturevalue(which)[number]
    users, titles, seen = many(k, 5, 700)
    index, score = model.recommend(users, titles, seen, k)
    # Where the scores are ratings, they have the same bits.
    expected = model.ratings(users, titles) if which == "near" else values(model.weights.relevance, users, titles)
    for b, best in enumerate(oracle.best(expected, seen, k)):
        missing = k - len(best)
        assert index[b].tolist() == best + [-1] * missing
        assert score[b].tolist() == expected[b, best].tolist() + [-np.inf] * missing


def test_bfloat16_cannot_tell_the_near_apart(near: list[Loaded]) -> None:
    """Otherwise the test above would say little."""
    titles = near[0].weights.relevance.title_vectors
    assert len(np.unique(titles, axis=0)) == TITLES + 1
    assert len(np.unique(tf.cast(titles, tf.bfloat16).numpy().astype(np.float32), axis=0)) < TITLES + 1


@pytest.mark.parametrize(("dimension", "size"), [(3, 1e-3), (40, 1.0), (97, 1e3)])
def test_the_error_of_approximate_scores_is_within_its_bound(dimension: int, size: float) -> None:
    rng = np.random.default_rng(dimension)
    titles = (rng.normal(size=(256, dimension)) * rng.choice([0.01, 1, 5], (256, 1)) + size).astype(np.float32)
    users = np.column_stack([rng.normal(size=(32, dimension - 1)) * size, np.ones(32)]).astype(np.float32)
    candidates = approximate_scores.prepare_candidates(tf.constant(titles), tf.fill([256], True), tf.constant(128))
    asked = tf.constant(users), candidates.centre, candidates.norms
    bound = approximate_scores.prepare_users(*asked)[2].numpy()
    # A compiler that left out the conversion to half precision and back would find nothing lost.
    np.testing.assert_allclose(bound, approximate_scores.prepare_users.python_function(*asked)[2], rtol=1e-5)
    exact = users.astype(np.float64) @ (titles.astype(np.float64) - candidates.centre.numpy()).T
    approximate = tf.function(approximate_scores.approximate_scores, jit_compile=True)
    found = [approximate(tf.constant(users), half, tf.zeros([1, 1])) for half in candidates.rounded]
    error = np.abs(np.concatenate(found, axis=1) - exact).max(axis=1)
    assert (error <= bound).all()
    assert (error > bound / 100).all()


@pytest.mark.parametrize("dimension", [1, 7, 8, 41, 97, 120, 121, 128, 300, 2_100])
def test_an_exact_score_has_the_same_bits_compiled_or_not_alone_or_among_others(dimension: int) -> None:
    rng = np.random.default_rng(dimension)
    users, titles = (rng.normal(size=(9, dimension)).astype(np.float32) for _ in range(2))
    pairs = [tf.constant(rng.integers(0, 9, 50), tf.int32) for _ in range(2)]
    padded = [exact_dot_products.pad_to_lanes(tf.constant(vectors)) for vectors in (users, titles)]
    scores = exact_dot_products.exact_scores(padded[0], pairs[0], padded[1], pairs[1]).numpy()
    plain = exact_dot_products.sum_products(tf.gather(padded[0], pairs[0]) * tf.gather(padded[1], pairs[1])).numpy()
    alone = exact_dot_products.exact_scores(padded[0], pairs[0][7:8], padded[1], pairs[1][7:8]).numpy()
    assert scores.tolist() == plain.tolist()
    assert alone[0] == scores[7]
    np.testing.assert_allclose(scores, (users[pairs[0]] * titles[pairs[1]]).sum(axis=1), rtol=1e-3, atol=1e-4)


def test_products_are_added_lane_by_lane() -> None:
    products = np.random.default_rng(0).normal(size=(50, 13 * 8)).astype(np.float32)
    sums = np.zeros((50, 8), np.float32)
    for lane in np.split(products, 13, axis=1):
        sums += lane
    while sums.shape[1] > 1:
        sums = sums[:, : sums.shape[1] // 2] + sums[:, sums.shape[1] // 2 :]
    assert exact_dot_products.sum_products(tf.constant(products)).numpy().tolist() == sums[:, 0].tolist()


def test_a_users_list_does_not_depend_on_who_stands_beside_it(near: list[Loaded]) -> None:
    users, titles, seen = many(11, 40, 300)
    together = near[0].recommend(users, titles, seen, 9)
    order = np.random.default_rng(0).permutation(len(users))
    shuffled = near[0].recommend([users[b] for b in order], titles, [seen[b] for b in order], 9)
    small = near[1].recommend(users, titles, seen, 9)
    for one, other, of_small in zip(together, shuffled, small, strict=True):
        assert one[order].tolist() == other.tolist()
        assert one.tolist() == of_small.tolist()
    for b in range(3):
        index, score = near[0].recommend([users[b]], titles, [seen[b]], 9)
        assert (index[0].tolist(), score[0].tolist()) == (together[0][b].tolist(), together[1][b].tolist())


def test_threads_change_nothing(tmp_path: Path) -> None:
    factors = random_factors(7)
    Loaded(weights(factors, factors), tmp_path / "model")
    script = (
        "import sys, tensorflow as tf\n"
        "tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[2]))\n"
        "tf.config.threading.set_inter_op_parallelism_threads(int(sys.argv[2]))\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "users, titles = ['u%d' % (i % 9) for i in range(700)], ['t%d' % (i % 13) for i in range(3000)]\n"
        "best = model.signatures['recommend'](user_id=tf.constant(users), candidates=tf.constant(titles),\n"
        "    seen_values=tf.range(700), seen_row_splits=tf.range(701, dtype=tf.int64), k=tf.constant(30))\n"
        "print(best['index'].numpy().tolist(), best['score'].numpy().tolist())"
    )
    one, two = (
        subprocess.run(
            [sys.executable, "-I", "-c", script, tmp_path / "model", threads],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=True,
        ).stdout
        for threads in ("1", "2")
    )
    assert len(one) > 100_000
    assert one == two
