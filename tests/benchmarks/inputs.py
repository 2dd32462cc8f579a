"""The inputs of the benchmarks: tables of users and candidates, in memory and on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from beam_jobs.io.schemas import CANDIDATES, USERS
from beam_jobs.scoring.parts import LEAST_PARTS
from tests.benchmarks.comparison import in_new_process
from tests.benchmarks.models import make_model, titles

__all__ = ["SEEN_A_USER", "TOP_N", "in_new_process", "make_candidates", "make_model", "make_users", "titles"]

SEEN_A_USER, TOP_N = 100, 20
USERS_A_GROUP = (1_024, 8_192)
"""Users in a row group, at least and at most. `beam_jobs.prepare` writes the larger number. Small tables get smaller
groups, so that they still have several parts. Both numbers are powers of two, so that blocks of users are always full
and neither end of a slope wastes more than the other."""


def make_candidates(count: int) -> pa.Table:
    """A candidates table, with the schema `beam_jobs.io.schemas.CANDIDATES`."""
    return pa.table([titles(count)], schema=CANDIDATES)


def make_users(count: int, title_count: int) -> pa.Table:
    """A users table, of schema `beam_jobs.io.schemas.USERS`. Each user has seen `SEEN_A_USER` titles, some twice."""
    return _some_users(0, count, pa.array(titles(title_count)), SEEN_A_USER).cast(USERS)


def users_file(folder: Path, count: int, title_count: int, seen: int = SEEN_A_USER) -> Path:
    """The file of such a table. If it is missing, it is written with one row group in memory at a time."""
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
    """The file of a candidates table. It is written if it is missing."""
    path = folder / f"candidates-{count}.parquet"
    if not path.exists():
        parquet.write_table(make_candidates(count), path)
    return path


def _some_users(first: int, past: int, words: pa.Array, seen: int) -> pa.Table:
    """Users `first` to `past`, without `past`. The dictionary of `seen` has only the titles in use, as in a file."""
    drawn = np.random.default_rng([1, first]).integers(0, len(words), (past - first) * seen)
    used, codes = np.unique(drawn, return_inverse=True)
    lists = pa.ListArray.from_arrays(
        pa.array(np.arange(past - first + 1, dtype=np.int32) * seen),
        pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), words.take(pa.array(used))),
    )
    return pa.table(
        [pa.array([f"user {number}" for number in range(first, past)], pa.string()), lists], names=USERS.names
    )
