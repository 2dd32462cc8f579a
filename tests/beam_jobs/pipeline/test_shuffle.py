"""Partitions by user: every row in exactly one, the same one everywhere."""

from __future__ import annotations

import pickle

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.pipeline.shuffle import (
    NUMBERS_A_PARTITION,
    ROWS_A_PARTITION,
    hash_partition,
    partitions_for,
    split_by_hash,
    split_to_shuffle,
    unpack,
)


@given(st.lists(st.text(max_size=12)), st.integers(1, 9))
def test_every_row_is_in_one_partition_and_equal_ids_meet(ids: list[str], n: int) -> None:
    table = pa.table({"user_id": pa.array(ids, pa.string()), "row": pa.array(range(len(ids)), pa.int64())})
    parts = dict(split_by_hash(table, n))
    assert set(parts) <= set(range(n))
    rows = [row for part in parts.values() for row in part["row"].to_pylist()]
    assert sorted(rows) == list(range(len(ids)))
    homes: dict[str, set[int]] = {}
    for number, part in parts.items():
        assert part["row"].to_pylist() == sorted(part["row"].to_pylist())
        for user in part["user_id"].to_pylist():
            homes.setdefault(user, set()).add(number)
    assert all(len(home) == 1 for home in homes.values())


@given(st.lists(st.text(max_size=12), min_size=1))
def test_a_hash_does_not_depend_on_the_rows_around_it(ids: list[str]) -> None:
    together = hash_partition(pa.array(ids), 1_000)
    alone = [hash_partition(pa.array([user]), 1_000)[0] for user in ids]
    assert together.tolist() == alone
    sliced = pa.array(["before", *ids, "after"]).slice(1, len(ids))
    assert hash_partition(sliced, 1_000).tolist() == alone


def test_partitions_are_those_of_every_machine() -> None:
    """Fixed numbers: workers of one job may be of different machines."""
    assert hash_partition(pa.array(["1", "2", "ann", "天使", "", None]), 1_000).tolist() == PINNED


def test_partitions_are_of_like_size() -> None:
    sizes = [part.num_rows for _, part in split_by_hash(pa.table({"user_id": [f"user {n}" for n in range(80_000)]}), 8)]
    assert len(sizes) == 8
    assert 9_000 < min(sizes) <= max(sizes) < 11_000


def test_the_number_of_partitions_follows_the_rows() -> None:
    assert [partitions_for(rows) for rows in (0, 1, ROWS_A_PARTITION, ROWS_A_PARTITION + 1)] == [1, 1, 1, 2]
    assert [partitions_for(ROWS_A_PARTITION, extra * NUMBERS_A_PARTITION) for extra in (0, 1, 3)] == [1, 1, 3]


PINNED = [673, 747, 565, 986, 0, 0]


def test_a_part_travels_alone_and_small() -> None:
    table = pa.table({"user_id": [f"user {number}" for number in range(20_000)]})
    whole = len(pickle.dumps(table))
    assert sum(len(packed) for _, packed in split_to_shuffle(table, 10)) < whole / 2
    assert sum(len(packed) for _, packed in split_to_shuffle(table, 1)) < whole / 2


@given(st.lists(st.tuples(st.text(max_size=12), st.lists(st.text(max_size=3), max_size=3))), st.integers(1, 9))
def test_what_is_packed_comes_out_again(rows: list[tuple[str, list[str]]], n: int) -> None:
    schema = pa.schema([("user_id", pa.string()), ("seen", pa.list_(pa.string()))])
    table = pa.Table.from_pylist([{"user_id": user, "seen": seen} for user, seen in rows], schema)
    parts = dict(split_by_hash(table, n))
    packed = list(split_to_shuffle(table, n))
    assert [number for number, _ in packed] == list(parts)
    assert [part.to_pylist() for part in unpack(part for _, part in packed)] == [
        part.to_pylist() for part in parts.values()
    ]
    assert all(part.schema == schema for part in unpack(part for _, part in packed))
