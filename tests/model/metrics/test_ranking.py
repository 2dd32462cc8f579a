"""Metrics of lists: against a plain answer, one user at a time, and against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.metrics import ranking as metrics

TITLES = 12


@st.composite
def users(draw: st.DrawFn) -> tuple[np.ndarray, list[list[int]]]:
    """Lists `int32[B, k]`, short ones padded by -1, and what is relevant to each user."""
    k = draw(st.integers(1, 6))
    title = st.integers(0, TITLES - 1)
    lists = draw(st.lists(st.lists(title, max_size=k, unique=True), min_size=1, max_size=8))
    relevant = [draw(st.lists(title, max_size=TITLES, unique=True)) for _ in lists]
    return np.array([row + [-1] * (k - len(row)) for row in lists], np.int32), relevant


def ragged(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    splits = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return np.array([title for row in rows for title in row], np.int32), splits


def oracle(row: list[int], relevant: list[int]) -> list[float]:
    """NDCG, recall, reciprocal rank and hit of one list."""
    if not relevant:
        return [math.nan] * 4
    ranks = [rank for rank, title in enumerate(row, 1) if title in relevant]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(row), len(relevant)) + 1))
    ndcg = sum(1 / math.log2(rank + 1) for rank in ranks) / ideal
    return [ndcg, len(ranks) / len(relevant), 1 / ranks[0] if ranks else 0.0, float(bool(ranks))]


@given(users())
@settings(deadline=None)
def test_every_user_as_the_plain_answer_has_it(drawn: tuple[np.ndarray, list[list[int]]]) -> None:
    index, relevant = drawn
    measured = metrics.measure_users(index, *ragged(relevant)).columns()
    expected = np.array([oracle(row, wanted) for row, wanted in zip(index.tolist(), relevant, strict=True)])
    np.testing.assert_allclose(measured, expected, atol=1e-12)


@given(users())
@settings(deadline=None)
def test_counts_and_shares(drawn: tuple[np.ndarray, list[list[int]]]) -> None:
    index, relevant = drawn
    listed = [title for row in index.tolist() for title in row if title >= 0]
    times = metrics.count_titles(index, TITLES)
    assert times.tolist() == [listed.count(title) for title in range(TITLES)]
    owners = np.bincount(ragged(relevant)[0], minlength=TITLES)
    bits = [-math.log2(max(owners[title], 1) / len(index)) for title in listed]
    measured = metrics.novelty(times, owners, len(index))
    assert measured == (pytest.approx(sum(bits) / len(bits)) if bits else None)
    shares = [
        np.mean([other < owners[title] for other in owners]) + np.mean([other == owners[title] for other in owners]) / 2
        for title in range(TITLES)
    ]
    np.testing.assert_allclose(metrics.popularity_percentiles(owners), shares)
    expected = sum(shares[title] for title in listed) / len(listed) if listed else None
    assert metrics.mean_percentile(times, owners) == (None if expected is None else pytest.approx(expected))


def test_by_hand() -> None:
    # The second and third of four are right, of three that were to be found.
    measured = metrics.measure_users(np.array([[9, 1, 2, 8]]), np.array([1, 2, 3]), np.array([0, 3]))
    ndcg = (1 / math.log2(3) + 1 / math.log2(4)) / (1 + 1 / math.log2(3) + 1 / math.log2(4))
    assert measured.columns().tolist() == [pytest.approx([ndcg, 2 / 3, 1 / 2, 1])]


def test_a_list_for_each_row_of_relevant_titles() -> None:
    with pytest.raises(ValueError, match="2 lists, but 1 rows"):
        metrics.measure_users(np.zeros((2, 3), np.int32), np.array([1]), np.array([0, 1]))


def test_the_curve_of_exposure() -> None:
    assert metrics.exposure_curve(np.array([3, 1, 0, 0]), points=5) == pytest.approx([0, 0.75, 1, 1, 1])
    assert metrics.exposure_curve(np.array([2, 2, 2, 2]), points=5) == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_the_interval_is_that_of_the_normal_law() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, (2_500, 1))
    found = metrics.interval(values.mean(), metrics.resample_means(values, seed=0)[:, 0])
    error = values.std() / math.sqrt(len(values))
    assert found.mean == values.mean()
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=error / 5)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=error / 5)


def test_users_are_drawn_alike_for_every_column() -> None:
    first = np.random.default_rng(2).normal(size=200)
    drawn = metrics.resample_means(np.stack([first, first + 1], axis=1), seed=0)
    # Far apart from user to user, and yet their difference is certain.
    assert drawn[:, 0].std() > 0.05
    np.testing.assert_allclose(drawn[:, 1] - drawn[:, 0], 1)


def test_the_seed_decides() -> None:
    values = np.random.default_rng(3).normal(size=(50, 2))
    first, again, other = (metrics.resample_means(values, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.shape == (metrics.RESAMPLES, 2)
