"""Histories and titles: the plain functions against plain Python."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.io.schemas import CANDIDATES, USERS
from beam_jobs.users.watch_history import collect_histories, collect_titles, titles_schema

WORDS = st.text("aBé天", min_size=1, max_size=2)
ROWS = st.lists(st.tuples(WORDS, WORDS, st.integers(-2, 2)), max_size=30)


def interactions(rows: list[tuple[str, str, int]]) -> pa.Table:
    users, titles, times = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "user_id": pa.array(users, pa.string()),
            "movie_title": pa.array(titles, pa.string()),
            "timestamp": pa.array(times, pa.int64()),
        }
    )


@given(ROWS)
def test_histories_are_those_of_plain_python(rows: list[tuple[str, str, int]]) -> None:
    wanted: dict[str, list[str]] = {}
    for user, title, _ in sorted(rows, key=lambda row: (row[0].encode(), row[2], row[1].encode())):
        seen = wanted.setdefault(user, [])
        if title not in seen:
            seen.append(title)
    found = collect_histories(interactions(rows))
    assert found.schema.equals(USERS)
    assert found.to_pylist() == [{"user_id": user, "seen": seen} for user, seen in wanted.items()]


def test_a_title_stands_where_it_was_first_met() -> None:
    rows = [("ann", "late", 9), ("ann", "often", 8), ("ann", "often", 1), ("ann", "b", 5), ("ann", "a", 5)]
    assert collect_histories(interactions(rows))["seen"].to_pylist() == [["often", "a", "b", "late"]]


def test_users_and_titles_are_in_the_order_of_their_bytes() -> None:
    rows = [(user, user, 0) for user in ("é", "b", "10", "Z", "9", "天", "a")]
    ordered = sorted((user for user, _, _ in rows), key=str.encode)
    assert collect_histories(interactions(rows))["user_id"].to_pylist() == ordered
    assert collect_titles([interactions(rows)], CANDIDATES)["movie_title"].to_pylist() == ordered


@given(st.lists(st.tuples(WORDS, st.lists(WORDS, max_size=2), st.sampled_from([None, "1", "2"])), max_size=20))
def test_titles_do_not_depend_on_how_rows_were_divided(rows: list[tuple[str, list[str], str | None]]) -> None:
    titles, genres, ids = zip(*rows, strict=True) if rows else ((), (), ())
    schema = pa.schema(
        [("movie_title", pa.string()), ("movie_genres", pa.list_(pa.string())), ("movie_id", pa.string())]
    )
    table = pa.table([list(titles), list(genres), list(ids)], schema=schema)
    together = collect_titles([table], schema)
    assert together.schema.equals(schema)
    assert together["movie_title"].to_pylist() == sorted(set(titles), key=str.encode)
    assert set(map(str, together.to_pylist())) <= set(map(str, table.to_pylist()))
    half = len(rows) // 2
    reversed_rows = table.take(pa.array(range(len(rows) - 1, -1, -1), pa.int64()))
    divided = [collect_titles([part], schema) for part in (reversed_rows.slice(half), reversed_rows.slice(0, half))]
    assert collect_titles(divided, schema).equals(together)


def test_candidates_keep_what_describes_a_film() -> None:
    given_columns = ["user_id", "movie_title", "user_rating", "timestamp", "movie_id", "user_gender", "movie_genres"]
    schema = pa.schema([(name, pa.string()) for name in given_columns])
    assert titles_schema(schema).names == ["movie_title", "movie_id", "movie_genres"]
