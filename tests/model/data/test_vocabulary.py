"""The vocabulary holds each user and title once, and gives their index."""

from __future__ import annotations

import pyarrow as pa

from model.data.interactions import SCHEMA
from model.data.vocabulary import Vocabulary, distinct


def test_users_and_titles_are_sorted_by_their_bytes_and_come_once() -> None:
    rows = [["10", "9", "10", "é"], ["b", "Z", "b", "a"], [1.0] * 4, [0] * 4]
    table = pa.table(rows, names=SCHEMA.names).cast(SCHEMA)
    vocabulary = Vocabulary.of(table)
    assert vocabulary == Vocabulary(["10", "9", "é"], ["Z", "a", "b"])
    assert vocabulary.user_index(table).tolist() == [0, 1, 0, 2]
    assert vocabulary.title_index(table).tolist() == [2, 0, 2, 1]
    assert vocabulary.user_index(table).dtype == "int32"


def test_what_is_not_in_the_vocabulary_has_no_index() -> None:
    table = pa.table([["a", "b"], ["x", "y"], [1.0, 2.0], [0, 1]], names=SCHEMA.names).cast(SCHEMA)
    vocabulary = Vocabulary(["b"], [])
    assert vocabulary.user_index(table).tolist() == [-1, 0]
    assert vocabulary.title_index(table).tolist() == [-1, -1]


def test_distinct_takes_chunks() -> None:
    assert distinct(pa.chunked_array([["b", "a"], ["a", "c"]])) == ["a", "b", "c"]
