"""Baselines: the total order, EASE by its definition, a checkerboard whose answer is certain, and who is unknown."""

from __future__ import annotations

import itertools

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.sources import read_interactions
from model.data.splits import Split, split_interactions
from model.evaluation.baselines import ease as ease_module
from model.evaluation.baselines.biases import Biases
from model.evaluation.baselines.ease import ease
from model.evaluation.baselines.fitting import fit_baselines
from model.evaluation.baselines.global_mean import GlobalMean
from model.evaluation.interaction_matrix import InteractionMatrix, distinct
from model.evaluation.systems import BIASES, EASE, IALS, POPULARITY
from model.evaluation.top_n import Recommend, best_of_order, best_unseen
from model.metrics.rating import measure_parts
from tests import oracle
from tests.model.rankers.article.test_training import checkerboard

NAMES = (POPULARITY, BIASES, EASE)


def matrix_of(table: pa.Table) -> InteractionMatrix:
    return InteractionMatrix.of(table, distinct(table["user_id"]), distinct(table["movie_title"]))


def ragged(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    splits = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return np.array([title for row in rows for title in row], np.int32), splits


def shorten(index: np.ndarray) -> list[list[int]]:
    """Without what is missing, which must stand at the end."""
    assert not ((index[:, :-1] == -1) & (index[:, 1:] >= 0)).any()
    return [[place for place in row if place >= 0] for row in index.tolist()]


# Few different scores, both zeros among them, so that ties are the rule.
SCORES = st.sampled_from([-2.5, -1.0, -0.0, 0.0, 1e-9, 1.0, 3.25])


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 12), st.data())
@settings(deadline=None)
def test_the_best_unseen_as_the_oracle_has_them(users: int, titles: int, k: int, data: st.DataObject) -> None:
    row = st.lists(SCORES, min_size=titles, max_size=titles)
    scores = np.array([data.draw(row) for _ in range(users)], np.float32)
    seen = [data.draw(st.lists(st.integers(0, titles - 1), unique=True)) for _ in range(users)]
    index = best_unseen(scores.copy(), *ragged(seen), k)
    assert index.shape == (users, k)
    assert shorten(index) == oracle.best(scores, seen, k)
    order = np.argsort(-scores[0], kind="stable")
    same_for_all = best_of_order(order, *ragged(seen), k)
    assert same_for_all.shape == (users, k)
    assert shorten(same_for_all) == oracle.best(np.repeat(scores[:1], users, axis=0), seen, k)


@pytest.mark.parametrize(("users", "titles"), [(30, 12), (12, 30)])
def test_ease_is_the_closed_form(users: int, titles: int) -> None:
    held = np.random.default_rng(0).random((users, titles)) < 0.4
    held[:, held.sum(axis=0) == 0] = True
    held[held.sum(axis=1) == 0] = True
    user, title = np.nonzero(held)
    table = pa.table({"user_id": [f"u{u:02}" for u in user], "movie_title": [f"t{t:02}" for t in title]})
    matrix = matrix_of(table)
    inverse = np.linalg.inv(held.T.astype(float) @ held + 2 * np.eye(titles))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    seen = matrix.pairs
    index = ease(matrix, penalty=2)(matrix.users, matrix.titles, seen.indices, seen.indptr, 5)
    expected = oracle.best(held @ weights, [row.nonzero()[0].tolist() for row in held], 5)
    assert shorten(index) == expected


def fit(table: pa.Table) -> dict[str, Recommend]:
    return fit_baselines(split_interactions(table, "none")).recommenders


def test_ease_learns_a_checkerboard() -> None:
    # Each user has a run of ten titles of their own parity: of the other ten, which rank alike, none is of the other.
    rows = [
        (u, t) for u, t in itertools.product(range(40), range(40)) if u % 2 == t % 2 and (t // 2 + u // 2) % 20 < 10
    ]
    whole = checkerboard()
    table = whole.filter(pa.array([(int(u[1:]), int(t[1:])) in set(rows) for u, t in pairs(whole)]))
    matrix = matrix_of(table)
    index = fit(table)[EASE](matrix.users, matrix.titles, matrix.pairs.indices, matrix.pairs.indptr, 5)
    assert (index >= 0).all()
    for user, row in zip(matrix.users.to_pylist(), index, strict=True):
        assert {int(matrix.titles[int(place)].as_py()[1:]) % 2 for place in row} == {int(user[1:]) % 2}


def pairs(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(table["user_id"].to_pylist(), table["movie_title"].to_pylist(), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_strangers_short_lists_and_new_titles(name: str) -> None:
    recommend = fit(checkerboard(4, 6))[name]
    titles = pa.array(["nobody's", *(f"t{number}" for number in range(6))])
    index = recommend(pa.array(["u1", "stranger"]), titles, *ragged([[0, 1, 2, 3, 4], [6]]), 8)
    assert index.shape == (2, 8)
    assert sorted(index[0, :2].tolist()) == [5, 6]
    assert sorted(index[1, :6].tolist()) == [0, 1, 2, 3, 4, 5]
    assert (index[0, 2:] == -1).all()
    assert (index[1, 6:] == -1).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_user_alone_gets_what_they_get_among_others(name: str) -> None:
    matrix = matrix_of(checkerboard())
    recommend = fit(checkerboard())[name]
    together = recommend(matrix.users, matrix.titles, matrix.pairs.indices, matrix.pairs.indptr, 4)
    for place in (0, 17, 39):
        seen = matrix.pairs[place : place + 1]
        alone = recommend(matrix.users.slice(place, 1), matrix.titles, seen.indices, seen.indptr, 4)
        assert alone.tolist() == [together[place].tolist()]


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ease_module, "MOST_TITLES", 39)
    fitted = fit_baselines(split_interactions(checkerboard(), "none"))
    assert EASE not in fitted.recommenders
    assert "at most 39 titles, and there are 40" in fitted.left_out[EASE]
    assert fitted.recommenders.keys() | fitted.left_out.keys() == {POPULARITY, BIASES, EASE, IALS}


def test_pairs_occur_once_and_strangers_are_dropped() -> None:
    table = pa.table({"user_id": ["b", "a", "b", "z", "b"], "movie_title": ["y", "x", "y", "x", "w"]})
    matrix = InteractionMatrix.of(table, pa.array(["a", "b", "c"]), pa.array(["w", "x", "y"]))
    assert matrix.pairs.indices.tolist() == [1, 0, 2]
    assert matrix.pairs.indptr.tolist() == [0, 1, 3, 3]
    assert matrix.pairs.data.tolist() == [True, True, True]
    assert matrix.title_counts.tolist() == [1, 1, 1]


def test_biases_by_hand() -> None:
    table = pa.table(
        {
            "user_id": ["a", "a", "b"],
            "movie_title": ["x", "y", "x"],
            "user_rating": pa.array([5, 2, 5], pa.float32()),
        }
    )
    biases = Biases.fit(table, table.slice(0, 0))
    # Mean 4; x: 2 / (2 + 5), y: -2 / (1 + 5); a: what is left of 5 and 2, over 2 + 10.
    x, y = 2 / 7, -2 / 6
    a = ((5 - 4 - x) + (2 - 4 - y)) / 12
    asked = np.array(["a", "a", "c", "c"], object), np.array(["x", "z", "y", "z"], object)
    np.testing.assert_allclose(biases.predict(*asked), [4 + a + x, 4 + a, 4 + y, 4], rtol=1e-6)
    np.testing.assert_allclose(GlobalMean.fit(table).predict(*asked), [4, 4, 4, 4])


def test_shrinkage_is_chosen_on_validation(movielens_dir: object) -> None:
    split: Split = split_interactions(read_interactions(str(movielens_dir)).table, "time")
    measured = measure_parts(Biases.fit(split.train, split.validation).predict, split.parts)
    usual = measure_parts(Biases.fit(split.train, split.validation.slice(0, 0)).predict, split.parts)
    assert 1.034 < measured["validation"]["rmse"] < 1.0355 < usual["validation"]["rmse"]
    assert 1.0265 < measured["test"]["rmse"] < 1.0285
    constant = measure_parts(GlobalMean.fit(split.train).predict, split.parts)
    assert constant["test"]["rmse"] == pytest.approx(1.117, abs=0.001)
