"""Side features by who watched what: alike for titles that the same users choose, whatever the order of rows."""

from __future__ import annotations

import numpy as np
import pytest

from model.rankers.rating import co_occurrence as module
from model.rankers.rating.co_occurrence import CLIP, SCALE, co_occurrence_features

USERS, TITLES = 60, 40


def checkerboard(share: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    """Even users watch a share of the even titles, odd ones of the odd."""
    chosen = np.random.default_rng(1).random((USERS, TITLES)) < share
    chosen &= np.arange(USERS)[:, None] % 2 == np.arange(TITLES) % 2
    user, title = np.nonzero(chosen)
    return user, title


def test_titles_that_the_same_users_watch_are_alike() -> None:
    features = co_occurrence_features(*checkerboard(), USERS, TITLES, 1, seed=0)
    assert features.shape == (TITLES, 1)
    even, odd = features[::2, 0], features[1::2, 0]
    assert max(even) < 0 < min(odd) or max(odd) < 0 < min(even)


def test_features_are_of_one_scale_and_zero_where_nobody_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    user, title = checkerboard()
    assert np.abs(co_occurrence_features(user, title, USERS, TITLES, 4, seed=0)).max() == pytest.approx(CLIP * SCALE)
    monkeypatch.setattr(module, "CLIP", np.inf)
    features = co_occurrence_features(user, title, USERS, TITLES + 3, 4, seed=0)
    counts = np.bincount(title, minlength=TITLES + 3)
    assert features.dtype == np.float32
    assert not features[TITLES:].any()
    weighted = counts[:, None] / counts.sum()
    assert (weighted * features).sum(axis=0) == pytest.approx(np.zeros(4), abs=1e-6)
    assert np.sqrt((weighted * features**2).sum(axis=0)) == pytest.approx(np.full(4, SCALE), rel=1e-3)


def test_rows_in_another_order_and_twice_change_nothing() -> None:
    user, title = checkerboard()
    order = np.random.default_rng(2).permutation(len(user))
    again = np.concatenate([order, order[:50]])
    features = co_occurrence_features(user, title, USERS, TITLES, 3, seed=0)
    assert np.array_equal(co_occurrence_features(user[again], title[again], USERS, TITLES, 3, seed=0), features)


def test_the_components_are_those_of_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLIP", np.inf)
    user, title = checkerboard()
    matrix = np.zeros((USERS, TITLES))
    matrix[user, title] = 1
    matrix /= np.sqrt(matrix.sum(axis=1, keepdims=True) * (matrix.sum(axis=0) + 10))
    leading = np.linalg.svd(matrix)[2][1:4].T / np.sqrt(np.bincount(title) + 10)[:, None]
    features = co_occurrence_features(user, title, USERS, TITLES, 3, seed=0)
    for number in range(3):
        assert abs(np.corrcoef(features[:, number], leading[:, number])[0, 1]) > 0.999


@pytest.mark.parametrize("components", [0, 5])
def test_a_matrix_of_one_kind_has_no_components(components: int) -> None:
    """All watch everything: popularity is all there is, and rounding is not taken for more."""
    user, title = np.divmod(np.arange(12), 4)
    assert co_occurrence_features(user, title, 3, 4, components, seed=0).shape == (4, 0)
