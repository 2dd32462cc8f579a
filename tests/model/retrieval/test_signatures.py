"""The exported model against the oracle, always saved and loaded again."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from model.contract import SIGNATURES, VECTOR_SIGNATURES
from model.retrieval import dense_recommender
from model.retrieval.dense_recommender import DenseRecommender, DenseWeights
from tests import oracle

USERS, TITLES = 7, 11


class Loaded:
    """A model that was saved and loaded again, and its weights."""

    def __init__(self, weights: DenseWeights, folder: Path) -> None:
        self.weights = weights
        DenseRecommender(weights).save(folder)
        self.model = tf.saved_model.load(str(folder))

    def recommend(self, users, candidates, seen, k):
        splits = np.concatenate([[0], np.cumsum([len(row) for row in seen])])
        answer = self.model.signatures["recommend"](
            user_id=tf.constant(users, tf.string, [len(users)]),
            candidates=tf.constant(candidates, tf.string, [len(candidates)]),
            seen_values=tf.constant([place for row in seen for place in row], tf.int32),
            seen_row_splits=tf.constant(splits, tf.int64),
            k=tf.constant(k, tf.int32),
        )
        return answer["index"].numpy(), answer["score"].numpy()

    def ratings(self, users, candidates):
        """`float32[B, M]` by `serving_default`, every pair."""
        answer = self.model.signatures["serving_default"](
            user_id=tf.constant(np.repeat(np.array(users, object), len(candidates)), tf.string),
            movie_title=tf.constant(np.tile(np.array(candidates, object), len(users)), tf.string),
        )
        return answer["user_rating"].numpy().reshape(len(users), len(candidates))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Loaded]:
    """Random rankers: one as drawn, and one in which nearly everything ties. Both again with small blocks and chunks,
    and once more with shortlists, whether they pay or not.
    """
    drawn = oracle.random_weights(USERS, TITLES, np.random.default_rng(0))
    coarse = replace(
        drawn,
        kernels=[np.sign(kernel) for kernel in drawn.kernels],
        biases=[np.zeros_like(bias) for bias in drawn.biases],
        user_embedding=np.sign(drawn.user_embedding),
        title_embedding=np.sign(drawn.title_embedding[np.arange(TITLES + 1) % 3]),
    )
    made = [Loaded(weights, tmp_path_factory.mktemp("model")) for weights in (drawn, coarse)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_recommender, "USERS_PER_BLOCK", 2)
        patch.setattr(dense_recommender, "MAX_CHUNK", 8)
        patch.setattr(dense_recommender, "ROW_MULTIPLE", 4)
        made += [Loaded(weights, tmp_path_factory.mktemp("model")) for weights in (drawn, coarse)]
        patch.setattr(dense_recommender, "MIN_PROVEN_SHARE", 0.0)
        patch.setattr(dense_recommender, "MIN_CANDIDATES_PER_SHORTLISTED", 2)
        made += [Loaded(weights, tmp_path_factory.mktemp("model")) for weights in (drawn, coarse)]
    return made


@st.composite
def requests(draw: st.DrawFn) -> tuple[list[str], list[str], list[list[int]], int]:
    users = draw(st.lists(st.sampled_from([*(f"u{i}" for i in range(USERS)), "stranger", ""]), max_size=9))
    candidates = draw(
        st.lists(st.sampled_from([*(f"t{i}" for i in range(TITLES)), "unheard of", "never seen"]), max_size=40)
    )
    places = st.integers(0, max(0, len(candidates) - 1))
    lists = st.lists(places, max_size=len(candidates)) if candidates else st.just([])
    seen = [draw(lists) for _ in users]
    return users, candidates, seen, draw(st.integers(0, 45))


@settings(max_examples=200, deadline=None)
@given(request=requests(), number=st.integers(0, 5))
def test_equals_brute_force(models: list[Loaded], request, number: int) -> None:
    users, candidates, seen, k = request
    model = models[number]
    index, score = model.recommend(users, candidates, seen, k)
    assert index.shape == score.shape == (len(users), k)
    served = model.ratings(users, candidates)
    np.testing.assert_allclose(served, oracle.ratings(model.weights, users, candidates), rtol=1e-4, atol=1e-4)
    for b, expected in enumerate(oracle.best(served, seen, k)):
        left = len(expected)
        assert index[b].tolist() == expected + [-1] * (k - left)
        assert score[b].tolist() == served[b, expected].tolist() + [-np.inf] * (k - left)


def test_titles_unknown_to_the_model_tie_and_are_sorted_by_index(models: list[Loaded]) -> None:
    candidates = [f"new {i}" for i in range(5_000)]
    index, score = models[0].recommend(["u1"], candidates, [[0, 2]], 4)
    assert index.tolist() == [[1, 3, 4, 5]]
    assert len(set(score[0].tolist())) == 1


def test_a_users_scores_do_not_depend_on_the_block_it_is_in(models: list[Loaded]) -> None:
    users = [f"u{i}" for i in range(USERS)] * 41
    candidates = [f"t{i}" for i in range(TITLES)]
    together = models[0].recommend(users, candidates, [[]] * len(users), 5)
    alone = [models[0].recommend([user], candidates, [[]], 5) for user in users[:USERS]]
    for b in range(len(users)):
        assert together[0][b].tolist() == alone[b % USERS][0][0].tolist()
        assert together[1][b].tolist() == alone[b % USERS][1][0].tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seen": [[11]]}, "past the last candidate"),
        ({"seen": [[-1]]}, "negative index"),
        ({"k": -1}, "k is negative"),
        ({"seen": [[], []]}, "not one longer than user_id"),
    ],
)
def test_arguments_out_of_range_are_refused(models: list[Loaded], change: dict, message: str) -> None:
    request = {"users": ["u1"], "candidates": [f"t{i}" for i in range(TITLES)], "seen": [[]], "k": 3, **change}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        models[0].recommend(**request)


def test_knows_the_users_it_was_trained_on(models: list[Loaded]) -> None:
    nothing = {"seen_values": tf.zeros([0], tf.int32), "seen_row_splits": tf.zeros([5], tf.int64)}
    asked = {"user_id": tf.constant(["u0", "u6", "u7", ""]), "candidates": tf.constant(["t1"]), "k": tf.constant(1)}
    known = models[0].model.signatures["recommend_rated"](**asked, **nothing)["known"]
    assert known.numpy().tolist() == [True, True, False, False]


def test_vocabulary_may_hold_line_breaks_and_any_script(tmp_path: Path) -> None:
    weights = replace(oracle.random_weights(2, 2, np.random.default_rng(1)), movie_titles=["a\nb", "Amélie & 天使"])
    model = Loaded(weights, tmp_path)
    served = model.ratings(["u0"], ["a\nb", "Amélie & 天使", "a"])
    np.testing.assert_allclose(served, oracle.ratings(weights, ["u0"], ["a\nb", "Amélie & 天使", "a"]), rtol=1e-4)


def test_loads_where_there_is_tensorflow_and_nothing_of_ours(tmp_path: Path) -> None:
    weights = oracle.random_weights(3, 4, np.random.default_rng(2))
    Loaded(weights, tmp_path / "model")
    script = (
        "import sys, tensorflow as tf\n"
        "model = tf.saved_model.load(sys.argv[1])\n"
        "print(*sorted(model.signatures))\n"
        "pair = dict(user_id=tf.constant(['u0']), movie_title=tf.constant(['t1']))\n"
        "print(model.signatures['serving_default'](**pair)['user_rating'].numpy()[0])\n"
        "print(sorted({'model', 'beam_jobs', 'tensorflow_recommenders', 'apache_beam'} & set(sys.modules)))"
    )
    # -I: neither the current folder nor PYTHONPATH is searched, so the project cannot be imported.
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, tmp_path / "model"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    signatures, rating, imported = done.stdout.splitlines()
    assert signatures.split() == sorted({**SIGNATURES, **VECTOR_SIGNATURES})
    assert float(rating) == pytest.approx(oracle.ratings(weights, ["u0"], ["t1"])[0, 0], abs=1e-4)
    assert imported == "[]"
