"""The ranker by relevance: who watches what next, and side data where there is no history."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from model.data.side_features import title_features, user_features
from model.data.vocabulary import Vocabulary
from model.rankers.relevance.histories import histories_of
from model.rankers.relevance.training import fit_relevance
from model.rankers.settings import RelevanceSettings, SequentialEaseSettings
from model.retrieval.dot_product_recommender import Factors

USERS, TITLES, EACH = 240, 40, 12
SETTINGS = replace(
    RelevanceSettings(), sequential_ease=(SequentialEaseSettings(dimension=16, l2=5.0),), batch_size=256, epochs=24
)


def taste() -> pa.Table:
    """Men watch titles of even number, which are comedies, and women the others. User 0 and title 0 are not in it."""
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(1, USERS), EACH)
    chosen = np.concatenate([2 * rng.permutation(np.arange(1, TITLES // 2))[:EACH] for _ in range(1, USERS)])
    title = chosen + user % 2
    return pa.table(
        {
            "user_id": [f"u{number:03}" for number in user],
            "movie_title": [f"t{number:02} (1990)" for number in title],
            "user_rating": np.full(len(user), 4, np.float32),
            "timestamp": np.arange(len(user)),
            "user_gender": user % 2 == 0,
            "movie_genres": [["Comedy"] if number % 2 == 0 else ["Drama"] for number in title],
        }
    )


def described() -> pa.Table:
    """User 0 and title 0 are known by what they are, not by what they did."""
    row = taste().slice(0, 1).to_pylist()[0]
    more = {**row, "user_id": "u000", "movie_title": "t00 (1990)", "user_gender": True, "movie_genres": ["Comedy"]}
    return pa.concat_tables([taste(), pa.Table.from_pylist([more], schema=taste().schema)])


def hits() -> pa.Table:
    """Two tastes, as in `taste`; what comes early in one is watched more. No side data, and user 0 is not in it."""
    rng = np.random.default_rng(0)
    weight = 1 / np.arange(1, TITLES // 2 + 1)
    weight /= weight.sum()
    length = rng.integers(2, EACH, USERS)
    rows = [
        (f"u{user:03}", f"t{2 * title + user % 2:02} (1990)")
        for user in range(1, USERS)
        for title in rng.choice(TITLES // 2, length[user], replace=False, p=weight)
    ]
    return pa.table(
        {
            "user_id": [user for user, _ in rows],
            "movie_title": [title for _, title in rows],
            "user_rating": np.full(len(rows), 4, np.float32),
            "timestamp": np.arange(len(rows)),
        }
    )


def fit(table: pa.Table, folder: Path, seed: int = 0, side: pa.Table | None = None) -> Factors:
    """Row i + 1 is user i and title i; `side` describes them, `described()` unless given."""
    side = described() if side is None else side
    users, titles = [f"u{number:03}" for number in range(USERS)], [f"t{number:02} (1990)" for number in range(TITLES)]
    histories = histories_of(table, Vocabulary(users, titles))
    features = user_features(side, users), title_features(side, titles)
    return fit_relevance(histories, *features, SETTINGS, seed, folder).factors


@pytest.fixture(scope="module")
def factors(tmp_path_factory: pytest.TempPathFactory) -> Factors:
    return fit(taste(), tmp_path_factory.mktemp("logs"))


def share_of_even(factors: Factors, user_row: int) -> float:
    """Among the 10 titles that are best for a user; row i + 1 is title i."""
    scores = factors.user_vectors[user_row] @ factors.title_vectors[1:].T
    return float(np.mean(np.argsort(-scores)[:10] % 2 == 0))


def test_users_get_what_those_like_them_watch(factors: Factors) -> None:
    shares = np.array([share_of_even(factors, number + 1) for number in range(USERS)])
    assert shares[2::2].mean() > 0.97
    assert shares[1::2].mean() < 0.03


def test_a_user_without_a_history_is_served_by_what_is_known_of_them(factors: Factors) -> None:
    assert share_of_even(factors, 0 + 1) == 1


def test_a_user_of_whom_nothing_is_known_gets_the_most_popular_titles(tmp_path: Path) -> None:
    factors = fit(hits(), tmp_path, side=hits())
    watched = np.array([int(title[1:3]) for title in hits()["movie_title"].to_pylist()])
    counts = np.bincount(watched, minlength=TITLES)
    assert (np.diff(np.sort(counts)[-10:]) > 0).sum() > 5  # so that there is an order to get wrong
    for row in (0, 0 + 1):  # in no vocabulary, and in it without a history
        scores = factors.user_vectors[row] @ factors.title_vectors[1:].T
        assert np.argsort(-scores, kind="stable").tolist() == np.argsort(-counts, kind="stable").tolist()


def test_a_title_that_nobody_watched_is_nearer_to_those_who_like_its_kind(factors: Factors) -> None:
    scores = factors.user_vectors[2:] @ factors.title_vectors[0 + 1]
    assert scores[1::2].mean() > scores[0::2].mean()  # row 2 is user 1, who is a woman
    # And it does not drown what people do watch.
    vectors = factors.title_vectors[:, :-1]  # the last component is popularity
    assert np.abs(vectors[1]).max() < np.abs(vectors[2:]).max()


def test_shapes_have_a_row_for_the_unknown(factors: Factors) -> None:
    assert factors.user_vectors.shape == (USERS + 1, 16 + 1)
    assert factors.title_vectors.shape == (TITLES + 1, 16 + 1)
    assert factors.title_bias.shape == (TITLES + 1,)
    assert np.linalg.norm(factors.user_vectors[0]) > 0


def test_neither_the_order_of_rows_nor_anything_but_the_seed_matters(factors: Factors, tmp_path: Path) -> None:
    shuffled = taste().take(np.random.default_rng(1).permutation(taste().num_rows))
    again = fit(shuffled, tmp_path / "again")
    assert np.array_equal(again.user_vectors, factors.user_vectors)
    assert np.array_equal(again.title_vectors, factors.title_vectors)
    assert not np.array_equal(fit(taste(), tmp_path / "other", seed=1).user_vectors, factors.user_vectors)
