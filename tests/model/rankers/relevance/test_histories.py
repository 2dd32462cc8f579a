"""Histories are in the order of time, whatever the order of the table."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from model.data.interactions import SCHEMA
from model.data.vocabulary import Vocabulary
from model.rankers.relevance.histories import histories_of


def table_of(*rows: tuple[str, str, int]) -> pa.Table:
    users, titles, times = zip(*rows, strict=True)
    return pa.table([users, titles, [3.0] * len(rows), times], names=SCHEMA.names).cast(SCHEMA)


def test_histories_are_by_user_and_time() -> None:
    table = table_of(("b", "x", 3), ("a", "z", 9), ("b", "y", 1), ("a", "x", 4), ("b", "z", 2))
    made = histories_of(table, Vocabulary(["a", "b", "c"], ["x", "y", "z"]))
    assert made.user.tolist() == [0, 0, 1, 1, 1]
    assert made.title.tolist() == [0, 2, 1, 2, 0]
    assert made.age.tolist() == [1, 0, 2, 1, 0]
    assert made.lengths.tolist() == [2, 3, 0]
    assert made.counts.tolist() == [2, 1, 2]
    assert made.user.dtype == made.title.dtype == np.int64


def test_interactions_of_one_second_are_in_one_order_that_is_not_by_name() -> None:
    names = [f"t{number:02}" for number in range(30)]
    table = table_of(*(("a", name, 7) for name in names))
    vocabulary = Vocabulary(["a"], names)
    first = histories_of(table, vocabulary)
    again = histories_of(table.take(pa.array(range(29, -1, -1))), vocabulary)
    assert again.title.tolist() == first.title.tolist()
    assert sorted(first.title.tolist()) == list(range(30)) != first.title.tolist()
