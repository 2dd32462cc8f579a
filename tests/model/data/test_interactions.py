from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.cli import InputError
from model.data.interactions import SCHEMA, Interactions, conform, describe, digest

ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["", "a", "b", "ü"]),
        st.none() | st.sampled_from(["", "x", "y, z"]),
        st.none() | st.floats(width=32),
        st.none() | st.integers(-(2**62), 2**62),
    ),
    max_size=30,
)


def table_of(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [()] * 4
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def one_row(**columns: Any) -> pa.Table:
    row = {"user_id": ["u"], "movie_title": ["m"], "user_rating": [3.0], "timestamp": [5]} | columns
    return pa.table(row)


@given(ROWS)
def test_conform_keeps_or_counts_every_row(rows: list[tuple[Any, ...]]) -> None:
    kept, rejects = conform(table_of(rows), {}, "here")
    assert kept.num_rows + sum(rejects.values()) == len(rows)
    good = [
        row for row in rows if row[0] and row[1] and row[2] is not None and np.isfinite(row[2]) and row[3] is not None
    ]
    assert kept.equals(table_of(good))
    assert all(rejects.values())


def test_conform_counts_a_row_under_its_first_reason() -> None:
    rows = [
        ("", "", None, None),
        (None, "x", 1.0, 1),
        ("a", "", np.inf, 1),
        ("a", "x", np.nan, None),
        ("a", "x", 1.0, None),
    ]
    kept, rejects = conform(table_of(rows), {}, "here")
    assert not kept.num_rows
    assert rejects == {"no user_id": 2, "no movie_title": 1, "rating not finite": 1, "no timestamp": 1}


@pytest.mark.parametrize(
    ("column", "given", "expected"),
    [
        ("user_id", pa.array([7], pa.int64()), "7"),
        ("user_id", pa.array(["u"], pa.large_string()), "u"),
        ("user_id", pa.array(["u"]).dictionary_encode(), "u"),
        ("user_id", pa.array([b"u"], pa.binary()), "u"),
        ("movie_title", pa.array(["two\nlines"]).dictionary_encode(), "two\nlines"),
        ("user_rating", pa.array([4], pa.int8()), 4.0),
        ("user_rating", pa.array([0.1], pa.float64()), float(np.float32(0.1))),
        ("user_rating", pa.array(["4.5"]).cast(pa.decimal128(3, 1)), 4.5),
        ("timestamp", pa.array([9], pa.uint32()), 9),
        ("timestamp", pa.array([9.75]), 9),
        ("timestamp", pa.array([1_500], pa.timestamp("ms")), 1),
        ("timestamp", pa.array([2], pa.timestamp("s", "Europe/Vienna")), 2),
        ("timestamp", pa.array([datetime.date(1970, 1, 2)]), 86_400),
    ],
)
def test_conform_brings_each_type_to_the_schema(column: str, given: pa.Array, expected: Any) -> None:
    table, rejects = conform(one_row(**{column: given}), {}, "here")
    assert table.schema == SCHEMA
    assert table[column].to_pylist() == [expected]
    assert rejects == {}


@pytest.mark.parametrize(
    ("column", "given"),
    [
        ("user_id", pa.array([1.5])),
        ("movie_title", pa.array([3])),
        ("movie_title", pa.array([b"\xff"], pa.binary())),
        ("user_rating", pa.array(["5"])),
        ("user_rating", pa.array([True])),
        ("timestamp", pa.array(["1997-09-20"])),
        ("timestamp", pa.array([2**63], pa.uint64())),
    ],
)
def test_conform_names_file_and_column_of_a_wrong_type(column: str, given: pa.Array) -> None:
    with pytest.raises(InputError, match=f"^some/file: column '{column}' .*{column}") as error:
        conform(one_row(**{column: given}), {}, "some/file")
    assert "\n" not in str(error.value)


def test_conform_says_which_columns_there_are() -> None:
    table = one_row().rename_columns(["uid", "movie_title", "user_rating", "timestamp"])
    with pytest.raises(
        InputError, match=r"^f: has no column 'user_id', only uid, movie_title, .*; name the column of user_id$"
    ):
        conform(table, {}, "f")
    with pytest.raises(InputError, match="more than one column 'timestamp'"):
        conform(one_row().append_column("timestamp", pa.array([1])), {}, "f")


def test_conform_renames_and_keeps_side_columns() -> None:
    table = one_row(movie_title=["theirs"], film=["ours"], age=[3], genre=["g"])
    conformed, _ = conform(table, {"movie_title": "film", "raw_user_age": "age"}, "f")
    assert conformed.column_names[:4] == SCHEMA.names
    assert set(conformed.column_names[4:]) == {"raw_user_age", "genre"}
    assert conformed["movie_title"].to_pylist() == ["ours"]


def test_conform_can_exchange_names() -> None:
    conformed, _ = conform(one_row(), {"user_id": "movie_title", "movie_title": "user_id"}, "f")
    assert conformed["user_id"].to_pylist() == ["m"]
    assert conformed["movie_title"].to_pylist() == ["u"]


GOOD_ROWS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from([1.0, 2.0]), st.integers(-3, 3)), min_size=1
)


@given(GOOD_ROWS, st.randoms())
def test_digest_does_not_depend_on_order(rows: list[tuple[Any, ...]], random: Any) -> None:
    shuffled = random.sample(rows, len(rows))
    halves = pa.concat_tables([table_of(shuffled[:1]), table_of(shuffled[1:])])
    assert digest(halves) == digest(table_of(rows))


@given(GOOD_ROWS, GOOD_ROWS)
def test_digest_tells_tables_apart(rows: list[tuple[Any, ...]], others: list[tuple[Any, ...]]) -> None:
    assert (digest(table_of(rows)) == digest(table_of(others))) == (sorted(rows) == sorted(others))


def test_digest_is_the_same_on_every_machine() -> None:
    rows = [("1", "A (1990)", 4.0, 10), ("2", "Señor (1991)", 3.5, 11)]
    assert digest(table_of(rows)) == "39d3ad3b24011aaa9dc4c84da94b9d05872fd2649d7120b7d3c122e48e0c94ee"
    assert len(digest(table_of([]))) == 64


def test_describe_tells_what_was_read_and_what_was_left_out() -> None:
    table = table_of([("1", "A (1990)", 4.0, 0), ("2", "A (1990)", 3.5, 86_400)])
    text = describe(Interactions(table, "files/*.csv", {"no user_id": 1_234}))
    assert text.splitlines()[:2] == [
        "files/*.csv: 2 interactions, 2 users, 1 titles",
        "  ratings 3.5 to 4, 1970-01-01 to 1970-01-02",
    ]
    assert "A (1990)" in text.splitlines()[3]
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.splitlines()[-1] == "  left out: 1,234 rows with no user_id"


def test_describe_takes_any_timestamp() -> None:
    text = describe(Interactions(table_of([("1", "A", 4.0, 881_250_949_000)]), "milliseconds"))
    assert "29895-" in text.splitlines()[1]
