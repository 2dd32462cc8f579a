from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.data.interactions import SCHEMA, Interactions, conform, digest
from model.data.sources.sample import read_sample

DIGEST = "526ef8d71c790693c8c23cdc3674c20b932cc55ae2aa8dc96f2f5201b6fba7b5"


def test_the_sample_is_the_same_bytes_every_time(sample: Interactions) -> None:
    assert digest(sample.table) == DIGEST
    assert read_sample().equals(sample.table)


def test_the_sample_is_shaped_like_movielens(sample: Interactions) -> None:
    table = sample.table
    per_user = pc.value_counts(table["user_id"]).field("counts").to_numpy()
    per_title = np.sort(pc.value_counts(table["movie_title"]).field("counts").to_numpy())
    assert table.num_rows == 100_000
    assert len(per_user) == 1_000
    assert 1_650 <= len(per_title) <= 1_700
    assert per_user.min() >= 20
    assert np.median(per_user) < per_user.mean() < per_user.max() / 4
    # The most popular tenth of titles has more than a third of the ratings, and less than all.
    assert 0.35 < per_title[-170:].sum() / 100_000 < 0.8
    assert set(pc.unique(table["user_rating"]).to_pylist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert 3.3 < pc.mean(table["user_rating"]).as_py() < 3.9
    days = (pc.max(table["timestamp"]).as_py() - pc.min(table["timestamp"]).as_py()) / 86_400
    assert 200 < days < 220


def test_every_row_of_the_sample_can_be_used(sample: Interactions) -> None:
    table, rejects = conform(sample.table, {}, "sample")
    assert rejects == {}
    assert table.equals(sample.table)
    assert table.schema.names[:4] == SCHEMA.names


def test_nobody_rates_a_title_twice_and_titles_are_unlike_each_other(sample: Interactions) -> None:
    pairs = sample.table.group_by(["user_id", "movie_title"]).aggregate([])
    assert pairs.num_rows == 100_000
    titles = pc.unique(sample.table["movie_title"]).to_pylist()
    assert all(re.fullmatch(r"\w+ \w+ \((19[3-9]\d|20[012]\d)\)", title) for title in titles)
    movies = sample.table.group_by(["movie_id", "movie_title", "movie_genres"][:2]).aggregate([])
    assert movies.num_rows == len(titles)


def test_some_users_of_the_sample_are_described(sample: Interactions) -> None:
    columns = ["user_id", "raw_user_age", "user_gender", "user_occupation_text", "user_zip_code"]
    users = sample.table.group_by(columns).aggregate([])
    assert users.num_rows == 1_000
    assert 100 < users["raw_user_age"].null_count < 300
    assert all(users[name].null_count == users["raw_user_age"].null_count for name in columns[1:])


def test_the_sample_has_genres(sample: Interactions) -> None:
    lengths = pc.list_value_length(sample.table["movie_genres"])
    assert pc.min_max(lengths).as_py() == {"min": 1, "max": 3}


def test_the_sample_can_be_learned(sample: Interactions) -> None:
    """Biases of users and titles, and on top of them each user's liking of genres, foretell held-out ratings."""
    table = sample.table
    rating = table["user_rating"].to_numpy().astype(float)
    user, title = (table[name].combine_chunks().dictionary_encode().indices.to_numpy() for name in SCHEMA.names[:2])
    held_out = np.random.default_rng(0).random(len(rating)) < 0.2
    residual = rating - rating[~held_out].mean()
    errors = [rmse(residual[held_out])]
    for _ in range(5):
        for group in (user, title):
            residual = residual - group_means(group, residual, ~held_out)
    errors.append(rmse(residual[held_out]))
    lists = table["movie_genres"].combine_chunks()
    first_genre = pc.list_element(lists, 0).dictionary_encode().indices.to_numpy()
    residual = residual - group_means(user * 100 + first_genre, residual, ~held_out)
    errors.append(rmse(residual[held_out]))
    constant, biases, tastes = errors
    assert biases < 0.9 * constant
    assert tastes < 0.98 * biases


def group_means(group: np.ndarray, values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The mean of the known values of each row's group, drawn a little towards 0."""
    total = np.bincount(group, np.where(known, values, 0))
    return (total / (np.bincount(group, known) + 3))[group]


def rmse(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(errors**2)))


def test_the_strings_of_the_sample_are_plain(sample: Interactions) -> None:
    assert sample.table.schema.field("movie_title").type == pa.string()
