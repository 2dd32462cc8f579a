"""The users table in parts: each is one piece of work for a worker and becomes one file of recommendations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_jobs.io import parquet_files
from beam_jobs.io.schemas import USERS

ROWS_A_FILE = 12_000_000
"""Recommendations in one file at most: about 128 MiB of Parquet, at 10 bytes a row."""
PAIRS_A_PART = 4_000_000_000
"""What one worker scores before its part is safe: minutes for a dense ranker, so that a lost machine costs little."""
LEAST_PARTS = 64
"""Wanted of a table that has as many row groups, so that many workers finish together."""
CANDIDATES_A_USER, ENOUGH_USERS = 25, 2_048
"""But a part is to have a user for each so many candidates, up to enough users: candidates are made ready for every
part anew, for the model and for look-ups in scoring and in the audit, which takes as long as some hundred users do.
"""


@dataclass(frozen=True)
class Part:
    """Consecutive row groups of one file of the users table.

    Parts depend on the tables alone and never on the workers, so a part that is scored again, wherever, writes the
    same rows into the file of the same name.
    """

    number: int
    """From 0, in the order of the files' names and of their rows."""
    users_file: str
    users_file_number: int
    """From 0, in the order of the files' names."""
    row_groups: range
    users: int

    def file_name(self, run_id: str) -> str:
        """Of the recommendations; parts sort by it in the order of the users table."""
        return f"part-{run_id}-{self.number:05}.parquet"

    def described(self, run_id: str) -> tuple[str, int, int, int]:
        """As `RunReport.parts` has it."""
        return self.file_name(run_id), self.users_file_number, self.row_groups.start, self.row_groups.stop


def divide(users_files: Sequence[str], candidates: int, top_n: int) -> list[Part]:
    """The parts of a users table: as large as `ROWS_A_FILE`, `PAIRS_A_PART`, `LEAST_PARTS` and `ENOUGH_USERS` ask.

    A part has whole row groups, at least one, so a table written with large row groups has large parts.

    Args:
      users_files: Parquet files of `beam_jobs.io.schemas.USERS`.
      candidates: how many each user is scored with.
      top_n: rows a user at most.

    Raises:
      InputError: a file is not Parquet, or lacks a column.
    """
    groups = [parquet_files.check_schema(path, USERS, "--users") for path in users_files]
    total = sum(map(sum, groups))
    largest = min(
        ROWS_A_FILE // max(1, min(top_n, candidates)),
        PAIRS_A_PART // max(1, candidates),
        max(min(candidates // CANDIDATES_A_USER, ENOUGH_USERS), -(-total // LEAST_PARTS)),
    )
    spans = (
        (path, file_number, span, users)
        for file_number, (path, rows) in enumerate(zip(users_files, groups, strict=True))
        for span, users in _spans(rows, largest)
    )
    return [Part(number, *described) for number, described in enumerate(spans)]


def _spans(rows: Sequence[int], largest: int) -> Iterator[tuple[range, int]]:
    """Runs of row groups with at most `largest` rows together, or one group; those without rows are left out."""
    first, total = 0, 0
    for group, count in enumerate([*rows, None]):
        if count is None or (total and total + count > largest):
            if total:
                yield range(first, group), total
            first, total = group, 0
        total += count or 0
