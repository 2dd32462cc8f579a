"""Split tables by user, so that a shuffle moves compressed tables instead of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from model.contract import USER_ID

ROWS_A_PARTITION = 250_000
"""Rows that a worker holds at a time after a shuffle: about 20 MiB. Flink keeps a whole partition on its heap."""
NUMBERS_A_PARTITION = 1 << 22
"""Numbers of user vectors that a worker holds beside these rows: 16 MiB."""

WORDS_AT_ONCE = 1 << 13
"""Strings hashed at a time: hashing takes about fifty bytes of memory for each byte of them."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def partitions_for(rows: int, numbers: int = 0) -> int:
    """The number of partitions for a table of `rows` rows and user vectors of `numbers` numbers altogether.

    It is the same on every machine.
    """
    return max(1, -(-rows // ROWS_A_PARTITION), -(-numbers // NUMBERS_A_PARTITION))


def split_to_shuffle(table: pa.Table, n: int) -> Iterator[tuple[int, bytes]]:
    """Split a table like `split_by_hash` and compress each part; `unpack` reverses that.

    A runner may hold everything that one worker shuffles in memory, several times over. Ids shrink to a third.
    """
    for number, part in split_by_hash(table, n):
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, part.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_table(part)
        yield number, stream.getvalue().to_pybytes()


def unpack(packed: Iterable[bytes]) -> Iterator[pa.Table]:
    """The tables that `split_to_shuffle` packed, one after the other."""
    for part in packed:
        yield pa.ipc.open_stream(part).read_all()


def split_by_hash(table: pa.Table, n: int, column: str = USER_ID) -> Iterator[tuple[int, pa.Table]]:
    """The rows of each of `n` partitions, in their order in the table. Partitions without rows are skipped.

    Rows with equal values of `column` are in the same partition, in every table and on every machine.
    """
    if n == 1 or not table.num_rows:
        yield from [(0, table)] if table.num_rows else []
        return
    partition = hash_partition(table[column], n)
    order = np.argsort(partition, kind="stable")
    starts = np.searchsorted(partition[order], np.arange(n + 1))
    for number in range(n):
        rows = order[starts[number] : starts[number + 1]]
        if len(rows):
            # A copy, because Arrow pickles a slice with the whole table that it is cut from.
            yield number, table.take(pa.array(rows))


def hash_partition(words: pa.ChunkedArray | pa.Array, n: int) -> np.ndarray:
    """The partition of each string by its hash: `int64[rows]` in [0, n), 0 for null."""
    # The high bits of a product depend on every bit of it; the low ones, which the remainder takes, do not.
    return (hash_words(words) >> np.uint64(33)).astype(np.int64) % n


def hash_words(words: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """A hash of each string's bytes: `uint64[rows]`, 0 for null.

    The hash is a polynomial in the bytes, modulo 2**64: each byte plus one, times `_MULTIPLIER` to the power of its
    place in the string, counted from 1. Many strings are hashed at once, because the sum over a string is the
    difference of two prefix sums.
    """
    chunks = words.chunks if isinstance(words, pa.ChunkedArray) else [words]
    some = (chunk[first : first + WORDS_AT_ONCE] for chunk in chunks for first in range(0, len(chunk), WORDS_AT_ONCE))
    return np.concatenate([np.zeros(0, np.uint64), *map(_hash_some, some)])


def _hash_some(words: pa.Array) -> np.ndarray:
    words = words.cast(pa.large_string())
    _, offsets_buffer, data = words.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[words.offset : words.offset + len(words) + 1]
    first, last = offsets[0], offsets[-1]
    values = np.frombuffer(data, np.uint8)[first:last].astype(np.uint64) if data is not None else np.zeros(0, np.uint64)
    lengths = np.diff(offsets)
    place = np.arange(last - first) - np.repeat(offsets[:-1] - first, lengths)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)), _MULTIPLIER))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum((values + np.uint64(1)) * powers[place])])
    hashes = sums[offsets[1:] - first] - sums[offsets[:-1] - first]
    hashes ^= hashes >> np.uint64(32)
    return hashes * _MULTIPLIER
