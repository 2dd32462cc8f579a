"""Rankers by products of vectors against plain NumPy, saved and loaded again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model import dot_recommender
from model.dot_recommender import DotRecommender, DotWeights, Factors
from tests import oracle

USERS, TITLES, DIMENSION = 7, 11, 5


def random_factors(seed: int, whole: bool = False) -> Factors:
    """`whole`: of whole numbers, so that scores tie and are exact in any order of summing."""
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
    """One whose scores tie, and the same in blocks of two users."""
    made = weights(random_factors(0, whole=True), random_factors(1))
    models = [Loaded(made, tmp_path_factory.mktemp("model"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dot_recommender, "USERS_A_STEP", (2, 2))
        models.append(Loaded(made, tmp_path_factory.mktemp("model")))
    return models


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[str], list[str], list[list[int]], int]:
    users = draw(st.lists(st.sampled_from([*(f"u{i}" for i in range(USERS)), "stranger", ""]), max_size=9))
    titles = draw(st.lists(st.sampled_from([*(f"t{i}" for i in range(TITLES)), "unheard of", ""]), max_size=30))
    lists = st.lists(st.integers(0, len(titles) - 1), max_size=len(titles)) if titles else st.just([])
    return users, titles, [draw(lists) for _ in users], draw(st.integers(0, 35))


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


def test_ratings_of_the_recommended_are_those_of_the_pairs(models: list[Loaded]) -> None:
    users, titles = ["u0", "u5", "stranger"], ["t1", "new", "t3", "t9"]
    index = np.array([[2, 0], [3, -1], [1, 2]], np.int32)
    signatures = models[0].model.signatures
    rated = signatures["rate_recommended"](
        user_id=tf.constant(users), candidates=tf.constant(titles), index=tf.constant(index)
    )["user_rating"].numpy()
    expected = np.clip(values(models[0].weights.rating, users, titles), -1, 1)
    for b, place in ((0, 0), (0, 1), (1, 0), (2, 0), (2, 1)):
        assert rated[b, place] == pytest.approx(expected[b, index[b, place]], abs=1e-5)
    served = signatures["serving_default"](
        user_id=tf.constant(np.repeat(users, 4)), movie_title=tf.constant(np.tile(titles, 3))
    )["user_rating"].numpy()
    np.testing.assert_allclose(served, expected.ravel(), atol=1e-5)
    assert (np.abs(served) == 1).any()


def test_where_titles_are_ranked_by_rating_the_best_do_not_tie_at_the_end_of_the_range(tmp_path: Path) -> None:
    factors = random_factors(2)
    model = Loaded(weights(factors, factors), tmp_path)
    users, titles = [f"u{i}" for i in range(USERS)], [f"t{i}" for i in range(TITLES)]
    _, score = model.recommend(users, titles, [[]] * USERS, TITLES)
    served = model.model.signatures["serving_default"](
        user_id=tf.constant(np.repeat(users, TITLES)), movie_title=tf.constant(np.tile(titles, USERS))
    )["user_rating"].numpy()
    np.testing.assert_allclose(score, -np.sort(-served.reshape(USERS, TITLES)), atol=1e-5)
    assert score.max() > 1


def test_many_equal_titles_come_in_order(models: list[Loaded]) -> None:
    index, score = models[0].recommend(["u1"], [f"new {i}" for i in range(70_000)], [[0, 2]], 4)
    assert index.tolist() == [[1, 3, 4, 5]]
    assert len(set(score[0].tolist())) == 1
