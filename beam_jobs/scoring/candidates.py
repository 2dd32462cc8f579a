"""The candidates of a run: read, cleaned and counted before any user is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import CANDIDATES
from model.cli import InputError
from model.contract import MOVIE_TITLE


@dataclass(frozen=True)
class CandidateList:
    """What may be recommended, and what was left out on the way to it."""

    table: pa.Table
    """`beam_jobs.io.schemas.CANDIDATES`: distinct titles in the order read, which is the order that breaks ties."""
    counts: Mapping[str, int]


def read_candidates(pattern: str, exclude_titles: str | None = None) -> CandidateList:
    """The candidates in the Parquet files that match `pattern`, in the order of the files' names and of their rows.

    Rows without a title, repeated titles and the titles listed in the file `exclude_titles`, one a line, are left
    out and counted.

    Raises:
      InputError: a file cannot be read as candidates, or none is left.
    """
    paths = storage.match(pattern, "--candidates")
    titles = pa.chunked_array(
        [
            chunk
            for path in paths
            for chunk in parquet_files.read_table(path, CANDIDATES, "--candidates")[MOVIE_TITLE].chunks
        ],
        pa.string(),
    )
    named = titles.filter(pc.fill_null(pc.not_equal(titles, ""), False))
    distinct = pc.unique(named)
    excluded = pa.array(_read_lines(exclude_titles) if exclude_titles else [], pa.string())
    kept = distinct.filter(pc.invert(pc.is_in(distinct, value_set=excluded)))
    if not len(kept):
        why = f", all {len(distinct):,} of them in --exclude_titles {exclude_titles}" if len(distinct) else ""
        raise InputError(f"--candidates {pattern}: no candidate to recommend{why}; give at least one title")
    return CandidateList(
        pa.table([kept], schema=CANDIDATES),
        {
            "candidates": len(kept),
            "candidates_rejected_no_title": len(titles) - len(named),
            "candidates_rejected_repeated": len(named) - len(distinct),
            "candidates_excluded": len(distinct) - len(kept),
        },
    )


def _read_lines(path: str) -> list[str]:
    try:
        text = storage.read_bytes(path, "--exclude_titles").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"--exclude_titles {path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    return [line for line in text.splitlines() if line]
