"""Factors and inverses, against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from model.rankers import linear_algebra
from model.rankers.linear_algebra import factorize, invert


def test_factors_are_the_best_of_their_rank() -> None:
    matrix = np.random.default_rng(2).standard_normal((50, 50))
    left, right = factorize(matrix, 10, seed=0)
    values = np.linalg.svd(matrix, compute_uv=False)
    assert np.linalg.norm(matrix - left @ right.T) == pytest.approx(np.sqrt((values[10:] ** 2).sum()), rel=1e-2)


def test_inverting_by_halves_is_inverting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear_algebra, "DIRECT_INVERSE_SIZE", 3)
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
