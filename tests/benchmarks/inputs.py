"""What the benchmarks run on: users with histories, candidates, and tables of them on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from beam_jobs.io.schemas import CANDIDATES, USERS
from beam_jobs.scoring.parts import LEAST_PARTS
from tests.benchmarks.models import make_model, titles
from tests.benchmarks.sides import in_new_process

__all__ = ["SEEN_A_USER", "TOP_N", "in_new_process", "make_candidates", "make_model", "make_users", "titles"]

SEEN_A_USER, TOP_N = 100, 20
USERS_A_GROUP = (1_024, 8_192)
"""Of a row group of a users table: at least, however few users there are, and at most, which is what
`beam_jobs.prepare` writes. Fewer are here so that small tables have several parts; a power of two, as that is, so that
blocks of users are full whatever the size of the table: where slopes are taken, both ends should waste alike."""


def make_candidates(count: int) -> pa.Table:
    """`beam_jobs.io.schemas.CANDIDATES`."""
    return pa.table([titles(count)], schema=CANDIDATES)


def make_users(count: int, title_count: int) -> pa.Table:
    """`beam_jobs.io.schemas.USERS`, each with `SEEN_A_USER` titles seen, some of them repeatedly."""
    return _some_users(0, count, pa.array(titles(title_count)), SEEN_A_USER).cast(USERS)


def users_file(folder: Path, count: int, title_count: int, seen: int = SEEN_A_USER) -> Path:
    """The file of such a table, written where it is not there yet, a row group in memory at a time."""
    path = folder / f"users-{count}-{title_count}-{seen}.parquet"
    if path.exists():
        return path
    words = pa.array(titles(title_count))
    least, most = USERS_A_GROUP
    group = min(most, max(least, 1 << max(1, count // (2 * LEAST_PARTS)).bit_length() - 1))
    with parquet.ParquetWriter(path, _some_users(0, 0, words, seen).schema, store_schema=False) as writer:
        for first in range(0, count, group):
            writer.write_table(_some_users(first, min(count, first + group), words, seen))
    return path


def candidates_file(folder: Path, count: int) -> Path:
    """The file of a candidates table, written where it is not there yet."""
    path = folder / f"candidates-{count}.parquet"
    if not path.exists():
        parquet.write_table(make_candidates(count), path)
    return path


def _some_users(first: int, past: int, words: pa.Array, seen: int) -> pa.Table:
    """Users `first` to `past`; what they have seen is a dictionary of just that, as a file of strings has it."""
    drawn = np.random.default_rng([1, first]).integers(0, len(words), (past - first) * seen)
    used, codes = np.unique(drawn, return_inverse=True)
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(past - first + 1, dtype=np.int32) * seen),
        pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words.take(pa.array(used))),
    )
    return pa.table(
        [pa.array([f"user {number}" for number in range(first, past)], pa.string()), lists], names=USERS.names
    )
