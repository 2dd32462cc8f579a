"""Strings are found at the same index, plain or as dictionaries."""

import numpy as np
import pyarrow as pa
import pytest

from beam_jobs.io.lookup import index_in, index_in_lists

AMONG = pa.array(["b", "a", "c", "a"])
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), DICTIONARY])
def test_each_word_has_the_first_place_of_its_like(kind: pa.DataType) -> None:
    values = pa.array(["a", None, "d", "b", "a", ""], pa.string()).cast(kind)
    for column in (values, pa.chunked_array([values[:2], values[2:]]), values[1:4]):
        found = index_in(column, AMONG)
        assert found.dtype == np.int32
        expected = {"a": 1, "b": 0}
        assert found.tolist() == [expected.get(word, -1) for word in column.to_pylist()]
    assert index_in(pa.chunked_array([], kind), AMONG).tolist() == []


def test_chunks_have_dictionaries_of_their_own() -> None:
    chunks = [pa.array(words, DICTIONARY) for words in (["d", "c"], [], ["a", None, "d"], [None])]
    assert index_in(pa.chunked_array(chunks), AMONG).tolist() == [-1, 2, 1, -1, -1, -1]


@pytest.mark.parametrize("kind", [pa.string(), DICTIONARY])
def test_lists_lose_what_is_not_among_and_keep_their_ends(kind: pa.DataType) -> None:
    lists = [["a", "x", "c"], None, [], ["x"], ["b", "b"]]
    chunks = [pa.array(part, pa.list_(kind)) for part in (lists[:1], lists[1:])]
    places, splits = index_in_lists(pa.chunked_array(chunks), AMONG)
    assert places.tolist() == [1, 2, 0, 0]
    assert splits.tolist() == [0, 2, 2, 2, 2, 4]
    places, splits = index_in_lists(pa.chunked_array([], pa.list_(kind)), AMONG)
    assert (places.tolist(), splits.tolist()) == ([], [0])
