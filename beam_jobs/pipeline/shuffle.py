"""Divide tables by user, so that a shuffle moves tables, compressed, and not rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from model.contract import USER_ID

ROWS_A_PARTITION = 250_000
"""What one worker holds at a time after a shuffle: some 20 MiB, as Flink keeps a whole partition on its heap."""
NUMBERS_A_PARTITION = 1 << 22
"""Of users' vectors, beside these rows: 16 MiB."""

WORDS_AT_ONCE = 1 << 13
"""That are hashed, as each byte of them takes some fifty meanwhile."""

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


def partitions_for(rows: int, numbers: int = 0) -> int:
    """How many partitions a table of so many rows, and vectors of so many numbers, are divided into.

    It is the same on every machine.
    """
    return max(1, -(-rows // ROWS_A_PARTITION), -(-numbers // NUMBERS_A_PARTITION))


def split_to_shuffle(table: pa.Table, n: int) -> Iterator[tuple[int, bytes]]:
    """As `split_by_hash`, each part made small; `unpack` makes tables of them.

    A runner may hold all that one worker shuffles in memory, several times over: ids shrink to a third.
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
    """The rows of a table by partition, order kept; partitions without rows are left out.

    Rows with one value of `column` have one partition, in every table and on every machine.
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
            # Taken one by one: of a slice, Arrow would pickle the whole table that it is cut from.
            yield number, table.take(pa.array(rows))


def hash_partition(words: pa.ChunkedArray | pa.Array, n: int) -> np.ndarray:
    """`int64[rows]` in [0, n): by the hash of each string, 0 for null."""
    # The high bits of a product depend on every bit of it; the low ones, which the remainder takes, do not.
    return (hash_words(words) >> np.uint64(33)).astype(np.int64) % n


def hash_words(words: pa.ChunkedArray | pa.Array) -> np.ndarray:
    """`uint64[rows]`, a hash of each string's bytes, 0 for null.

    A polynomial in the bytes, computed for many rows at once, the sum over a string being the difference of two
    prefix sums: the byte at place i counts times `_MULTIPLIER ** (i + 1)`, all modulo 2**64.
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
