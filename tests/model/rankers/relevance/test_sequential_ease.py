"""Vectors in closed form: the arithmetic against plain loops, and data whose answer is known."""

from __future__ import annotations

import numpy as np

from model.rankers.relevance.histories import Histories
from model.rankers.relevance.sequential_ease import co_occurrence_matrix, history_vectors, title_vectors, title_weights
from model.rankers.settings import SequentialEaseSettings

SETTINGS = SequentialEaseSettings(
    dimension=4, l2=2.0, half_distance=3.0, far_weight=0.2, window=5, half_life=2.0, old_weight=0.3
)


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
    np.testing.assert_allclose(co_occurrence_matrix(made.user, made.title, 12, SETTINGS), expected, rtol=1e-5)


def test_title_weights_are_the_least_squares_solution_with_a_zero_diagonal() -> None:
    rng = np.random.default_rng(1)
    x = (rng.random((40, 6)) < 0.4).astype(float)
    matrix = title_weights(x.T @ x, l2=3.0)
    assert np.diag(matrix).tolist() == [0.0] * 6
    for title in range(6):
        others = [other for other in range(6) if other != title]
        a = x[:, others]
        ridge = np.linalg.solve(a.T @ a + 3.0 * np.eye(5), a.T @ x[:, title])
        np.testing.assert_allclose(matrix[others, title], ridge, atol=1e-10)


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
    settings = SequentialEaseSettings(dimension=8, l2=5.0)
    left, right = title_vectors(made, settings, seed=0)
    scores = history_vectors(made, left, settings) @ right.T
    scores[made.user, made.title] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :5]
    assert ((best % 2) == (np.arange(60) % 2)[:, None]).all()


def test_only_the_most_watched_titles_have_vectors() -> None:
    made = histories()
    left, right = title_vectors(made, SequentialEaseSettings(dimension=4, max_titles=7), seed=0)
    have = np.flatnonzero(np.abs(right).sum(axis=1))
    assert sorted(have) == sorted(np.argsort(-made.counts, kind="stable")[:7])
    assert left.shape == right.shape == (12, 4)
