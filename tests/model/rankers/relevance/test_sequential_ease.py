"""Vectors in closed form: the arithmetic against plain loops, and data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from model.rankers.relevance import sequential_ease
from model.rankers.relevance.sequential_ease import (
    Closeness,
    Histories,
    choose,
    factorize,
    history_vectors,
    invert,
    near_pairs,
    predictor,
    title_vectors,
)

SETTINGS = Closeness(dimension=4, l2=2.0, near=3.0, far=0.2, window=5, half_life=2.0, kept=0.3)


def histories(seed: int = 0, users: int = 30, titles: int = 12) -> Histories:
    rng = np.random.default_rng(seed)
    lists = [rng.permutation(titles)[: rng.integers(0, titles)] for _ in range(users)]
    user = np.repeat(np.arange(users), [len(titles) for titles in lists])
    return Histories(user, np.concatenate(lists), users, titles)


def test_pairs_count_by_their_distance() -> None:
    made = histories()
    expected = np.zeros((12, 12))
    for one in range(len(made.user)):
        for other in range(len(made.user)):
            distance = abs(one - other)
            if made.user[one] == made.user[other] and distance <= SETTINGS.window:
                weight = 1.0 if not distance else 0.2 + 0.8 * 0.5 ** (distance / 3.0)
                expected[made.title[one], made.title[other]] += weight
    np.testing.assert_allclose(near_pairs(made.user, made.title, 12, SETTINGS), expected, rtol=1e-5)


def test_the_predictor_is_the_least_squares_solution_with_a_zero_diagonal() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((40, 6)) < 0.4).astype(float)
    matrix = predictor(x.T @ x, l2=3.0)
    assert np.diag(matrix).tolist() == [0.0] * 6
    for title in range(6):
        others = [other for other in range(6) if other != title]
        a = x[:, others]
        ridge = np.linalg.solve(a.T @ a + 3.0 * np.eye(5), a.T @ x[:, title])
        np.testing.assert_allclose(matrix[others, title], ridge, atol=1e-10)


def test_factors_are_the_best_of_their_rank() -> None:
    matrix = np.random.default_rng(2).standard_normal((50, 50))
    left, right = factorize(matrix, 10, seed=0)
    values = np.linalg.svd(matrix, compute_uv=False)
    assert np.linalg.norm(matrix - left @ right.T) == pytest.approx(np.sqrt((values[10:] ** 2).sum()), rel=1e-2)


def test_inverting_by_halves_is_inverting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequential_ease, "INVERTED_AT_ONCE", 3)
    rows = np.random.default_rng(6).standard_normal((40, 29))
    for size in (1, 3, 4, 13, 29):
        matrix = rows[:, :size].T @ rows[:, :size] + np.eye(size)
        expected = np.linalg.inv(matrix)
        invert(matrix)
        np.testing.assert_allclose(matrix, expected, rtol=1e-10, atol=1e-12)


def test_a_rank_above_the_number_of_titles_is_exact() -> None:
    matrix = np.random.default_rng(3).standard_normal((5, 5))
    left, right = factorize(matrix, 96, seed=0)
    np.testing.assert_allclose(left @ right.T, matrix, atol=1e-5)


def test_a_history_is_the_weighted_mean_of_its_titles() -> None:
    made = histories()
    left = np.random.default_rng(4).standard_normal((12, 4)).astype(np.float32)
    vectors = history_vectors(made, left, SETTINGS)
    assert (made.lengths == 0).any()
    for user in range(made.users):
        titles = made.title[made.user == user][::-1]
        weights = 0.3 + 0.7 * 0.5 ** (np.arange(len(titles)) / 2.0)
        expected = np.average(left[titles], axis=0, weights=weights) if len(titles) else np.zeros(4)
        np.testing.assert_allclose(vectors[user], expected, atol=1e-5)


def test_evens_like_evens() -> None:
    """A checkerboard: users of even number watch titles of even number, in some order, and odd odd."""
    rng = np.random.default_rng(5)
    user, title = [], []
    for number in range(60):
        user += [number] * 8
        title += (2 * rng.permutation(15)[:8] + number % 2).tolist()
    made = Histories(np.array(user), np.array(title), 60, 30)
    settings = Closeness(dimension=8, l2=5.0)
    left, right = title_vectors(made, settings, seed=0)
    scores = history_vectors(made, left, settings) @ right.T
    scores[made.user, made.title] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :5]
    assert ((best % 2) == (np.arange(60) % 2)[:, None]).all()


def test_only_the_most_watched_titles_have_vectors() -> None:
    made = histories()
    left, right = title_vectors(made, Closeness(dimension=4, most_titles=7), seed=0)
    have = np.flatnonzero(np.abs(right).sum(axis=1))
    assert sorted(have) == sorted(np.argsort(-made.counts, kind="stable")[:7])
    assert left.shape == right.shape == (12, 4)


def test_the_option_is_chosen_that_the_histories_bear_out() -> None:
    """Everybody watches a series in its order, from some title on: the latest alone tells what is next."""
    rng = np.random.default_rng(6)
    starts = rng.integers(0, 60, 200)
    title = (starts[:, None] + np.arange(14)).ravel() % 60
    series = Histories(np.repeat(np.arange(200), 14), title, 200, 60)
    latest = Closeness(dimension=32, l2=5.0, near=3.0, half_life=2.0)
    never = Closeness(dimension=32, l2=5.0, kept=1.0, far=1.0)
    choice, results = choose(series, [never, latest], seed=0)
    assert choice == latest
    assert results[1] > 1.1 * results[0] > 0
    assert choose(series, [never], seed=0) == (never, [])
