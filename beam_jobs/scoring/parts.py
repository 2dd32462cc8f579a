"""The users table in parts. A part is one piece of work for a worker and becomes one file of recommendations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from beam_jobs.io.footer import Footer
from beam_jobs.run import PlannedFile

ROWS_A_FILE = 12_000_000
"""Recommendations in a file at most: about 128 MiB of Parquet, at 10 bytes a row."""
PAIRS_A_PART = 4_000_000_000
"""Pairs in a part at most. A dense ranker scores them in minutes, so a lost machine costs little."""
LEAST_PARTS = 64
"""Parts wanted at least, so that many workers finish at about the same time."""
CANDIDATES_A_USER, ENOUGH_USERS = 25, 2_048
"""A part has at least one user for every `CANDIDATES_A_USER` candidates, but need not have more than `ENOUGH_USERS`.

Each part prepares the candidates again, for the model and for look-ups in scoring and in the audit. That takes as long
as scoring some hundred users.
"""


@dataclass(frozen=True)
class Part:
    """Consecutive row groups of one file of the users table.

    Parts depend on the tables alone and never on the workers. So a part that is scored again, wherever that is, writes
    the same rows into the file of the same name.
    """

    number: int
    """From 0, in the order of the files' names and of their rows."""
    users_file: str
    users_file_number: int
    """From 0, in the order of the files' names."""
    row_groups: range
    users: int

    def file_name(self, run_id: str) -> str:
        """The name of the file of recommendations. Files sort by name in the order of the users table."""
        return f"part-{run_id}-{self.number:05}.parquet"

    def planned_file(self, run_id: str) -> PlannedFile:
        """The file of recommendations, as the run's spec lists it."""
        return PlannedFile(self.file_name(run_id), self.users_file_number, self.row_groups.start, self.row_groups.stop)


def plan_parts(users: Sequence[Footer], candidates: int, top_n: int) -> list[Part]:
    """The parts of a users table, as large as the constants of this module allow.

    A part has whole row groups, at least one. So a table with large row groups has large parts.

    Args:
      users: the footers of the users table's files, by name.
      candidates: how many each user is scored with.
      top_n: recommendations for each user at most.
    """
    total = sum(footer.rows for footer in users)
    largest = min(
        ROWS_A_FILE // max(1, min(top_n, candidates)),
        PAIRS_A_PART // max(1, candidates),
        max(min(candidates // CANDIDATES_A_USER, ENOUGH_USERS), -(-total // LEAST_PARTS)),
    )
    spans = (
        (footer.path, number, span, rows)
        for number, footer in enumerate(users)
        for span, rows in _spans(footer.group_rows, largest)
    )
    return [Part(number, *described) for number, described in enumerate(spans)]


def _spans(rows: Sequence[int], largest: int) -> Iterator[tuple[range, int]]:
    """Runs of row groups, each with at most `largest` rows or of a single group. Empty ones are left out."""
    first, total = 0, 0
    for group, count in enumerate([*rows, None]):
        if count is None or (total and total + count > largest):
            if total:
                yield range(first, group), total
            first, total = group, 0
        total += count or 0
