"""The candidates of a run: read, cleaned and counted before any user is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import CANDIDATES
from model.cli import InputError
from model.contract import MOVIE_TITLE


@dataclass(frozen=True)
class CandidateList:
    """The titles that can be recommended, and how many were left out."""

    table: pa.Table
    """`beam_jobs.io.schemas.CANDIDATES`: distinct titles in the order read, which is the order that breaks ties."""
    counters: Mapping[str, int]


def read_candidates(pattern: str, excluded: Sequence[str] = ()) -> CandidateList:
    """The candidates in the Parquet files that match `pattern`, in the order of the files' names and of their rows.

    Rows without a title, repeated titles and the titles `excluded` are left out and counted.

    Raises:
      InputError: a file cannot be read as candidates, or no candidate is left.
    """
    chunks = [
        chunk
        for path in storage.match(pattern)
        for chunk in parquet_files.read_table(path, CANDIDATES)[MOVIE_TITLE].chunks
    ]
    titles = pa.chunked_array(chunks, pa.string())
    named = titles.filter(pc.fill_null(pc.not_equal(titles, ""), False))
    distinct = pc.unique(named)
    kept = distinct.filter(pc.invert(pc.is_in(distinct, value_set=pa.array(excluded, pa.string()))))
    if not len(kept):
        why = f", because all {len(distinct):,} are excluded" if len(distinct) else ""
        raise InputError(f"{pattern}: no candidate to recommend{why}; give at least one title")
    return CandidateList(
        pa.table([kept], schema=CANDIDATES),
        {
            "candidates": len(kept),
            "candidates_rejected_no_title": len(titles) - len(named),
            "candidates_rejected_repeated": len(named) - len(distinct),
            "candidates_excluded": len(distinct) - len(kept),
        },
    )


def read_titles(path: str) -> list[str]:
    """The titles in a text file, one on each line. Raises InputError where the file is not UTF-8."""
    try:
        text = storage.read_bytes(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    return [line for line in text.splitlines() if line]
