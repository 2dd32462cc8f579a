from __future__ import annotations

from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.cli import InputError
from model.data.interactions import SCHEMA, Interactions, digest
from model.data.sources import read_interactions
from model.data.splits import split_interactions


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Interactions with a column `row` that tells them apart."""
    rows = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-5, 5)), min_size=1, max_size=40))
    users, times = zip(*rows, strict=True)
    table = pa.table([users, ["m"] * len(rows), [1.0] * len(rows), times], names=SCHEMA.names).cast(SCHEMA)
    return table.append_column("row", pa.array(range(len(rows))))


@given(tables(), st.sampled_from(["time", "cutoff", "random", "last_n", "none"]), st.integers(0, 3), st.integers(1, 4))
def test_every_row_is_in_exactly_one_part_in_the_tables_order(table: pa.Table, name: str, seed: int, n: int) -> None:
    parts = split_interactions(table, name, seed=seed, last_n=n).parts
    rows = [part["row"].to_pylist() for part in parts.values()]
    assert sorted(chain(*rows)) == list(range(table.num_rows))
    assert all(part == sorted(part) for part in rows)


@given(tables())
def test_time_leaves_nothing_later_in_an_earlier_part(table: pa.Table) -> None:
    split = split_interactions(table, "time")
    ranges = [pc.min_max(part["timestamp"]).as_py() for part in split.parts.values() if part.num_rows]
    assert all(before["max"] < after["min"] for before, after in pairwise(ranges))


def test_time_puts_a_row_at_a_cut_into_the_earlier_part() -> None:
    table = pa.table([["u"] * 6, ["m"] * 6, [1.0] * 6, [0, 60, 61, 80, 81, 100]], names=SCHEMA.names).cast(SCHEMA)
    parts = split_interactions(table, "time").parts
    assert [part["timestamp"].to_pylist() for part in parts.values()] == [[0, 60], [61, 80], [81, 100]]


@given(tables())
def test_cutoff_tests_what_time_tests_and_trains_on_all_before(table: pa.Table) -> None:
    by_time, split = split_interactions(table, "time"), split_interactions(table, "cutoff")
    assert split.test.equals(by_time.test)
    assert split.validation.num_rows == 0
    before = by_time.train["row"].to_pylist() + by_time.validation["row"].to_pylist()
    assert split.train["row"].to_pylist() == sorted(before)


@given(tables(), st.integers(1, 4))
def test_last_n_takes_each_users_last_rows(table: pa.Table, n: int) -> None:
    split = split_interactions(table, "last_n", last_n=n)
    expected: list[int] = []
    for user in "abc":
        rows = [row for row in table.to_pylist() if row["user_id"] == user]
        expected += [row["row"] for row in sorted(rows, key=lambda row: row["timestamp"])[-n:]]
    assert sorted(split.test["row"].to_pylist()) == sorted(expected)
    assert split.validation.num_rows == 0


def test_random_is_seeded_and_does_not_depend_on_order(sample: Interactions) -> None:
    table = sample.table
    split = split_interactions(table, "random", seed=3)
    assert [part.num_rows for part in split.parts.values()] == [60_000, 20_000, 20_000]
    turned = table.take(pa.array(range(table.num_rows - 1, -1, -1)))
    assert digest(split_interactions(turned, "random", seed=3).test) == digest(split.test)
    assert digest(split_interactions(table, "random", seed=4).test) != digest(split.test)


def test_time_on_the_sample_leaves_every_part_something(sample: Interactions) -> None:
    assert all(part.num_rows > 10_000 for part in split_interactions(sample.table, "time").parts.values())


def test_time_on_movielens_is_the_articles(movielens_dir: Path) -> None:
    split = split_interactions(read_interactions(str(movielens_dir)).table, "time")
    assert [part.num_rows for part in split.parts.values()] == [65_336, 15_778, 18_886]


def test_everything_has_the_required_columns_of_all_parts(sample: Interactions) -> None:
    split = split_interactions(sample.table, "last_n")
    assert split.everything().schema == SCHEMA
    assert digest(split.everything()) == digest(sample.table)


@pytest.mark.parametrize("settings", [{"name": "tim"}, {"name": "last_n", "last_n": 0}, {"name": "given"}])
def test_what_cannot_be_split_is_refused(sample: Interactions, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"^(tim|last_n|given): [^\n]*$"):
        split_interactions(sample.table, **settings)
