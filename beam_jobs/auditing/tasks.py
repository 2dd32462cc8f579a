"""What the audit reads: each file of recommendations beside the users that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.io import storage
from beam_jobs.io.footer import Footer
from beam_jobs.io.lookup import as_array, index_in
from beam_jobs.io.parquet_files import read_batches
from beam_jobs.io.schemas import ENCODED_RECOMMENDATIONS, RECOMMENDATIONS, USERS
from beam_jobs.run import RunReport, ScoredPart
from model.cli import about
from model.contract import SEEN, USER_ID


@dataclass(frozen=True)
class AuditTask:
    """A file of recommendations and the users that it is for."""

    rows_file: str | None
    """None where users have no file of recommendations."""
    users_file: str
    row_groups: range


def task_of(part: ScoredPart, rows_folder: str) -> AuditTask:
    """The task that audits a part, whose recommendations are in `rows_folder`."""
    return AuditTask(storage.join(rows_folder, part.file["name"]), part.users_file, part.row_groups)


def plan_tasks(report: RunReport, rows_folder: str, users: Sequence[Footer]) -> list[AuditTask]:
    """A task for each file of recommendations in the report, and one for each row group of users that has no file.

    Args:
      report: what the run says of itself.
      rows_folder: the folder of the recommendations.
      users: the footers of the users table's files, by name.
    """
    tasks, unclaimed = [], [set(range(len(footer.group_rows))) for footer in users]
    for name, number, first, past in report.spec.files:
        rows_file = storage.join(rows_folder, name)
        if number < len(users) and past <= len(users[number].group_rows):
            unclaimed[number] -= set(range(first, past))
            tasks.append(AuditTask(rows_file, users[number].path, range(first, past)))
        else:
            # The report names users that do not exist, so the file has none to be checked against.
            tasks.append(AuditTask(rows_file, users[0].path, range(0)))
    for footer, groups in zip(users, unclaimed, strict=True):
        tasks += [AuditTask(None, footer.path, range(group, group + 1)) for group in sorted(groups)]
    return tasks


def read_side_by_side(task: AuditTask, users_a_batch: int, rows_a_batch: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Read batches of users, each with the recommendations of exactly these users.

    Both files have their users in the same order, so a batch gets the next rows, up to the first row of a user who is
    not in the batch. A user whose rows are anywhere else therefore gets none of them. Rows that are left when all users
    have been read come with an empty table of users.

    Args:
      task: the files.
      users_a_batch: users to read at a time.
      rows_a_batch: recommendations to read at a time.
    """
    batches = _read_rows(task, rows_a_batch)
    rows = ENCODED_RECOMMENDATIONS.empty_table()
    for users in _read_users(task, users_a_batch):
        ids = as_array(users[USER_ID]).cast(pa.string())
        theirs = []
        while True:
            others = np.flatnonzero(index_in(rows[USER_ID], ids) < 0)
            end = int(others[0]) if len(others) else rows.num_rows
            theirs.append(rows[:end])
            rows = rows[end:]
            if rows.num_rows:
                break
            try:
                rows = next(batches)
            except StopIteration:
                break
        yield users, pa.concat_tables(theirs)
    for rest in (rows, *batches):
        if rest.num_rows:
            yield USERS.empty_table(), rest


def _read_users(task: AuditTask, size: int) -> Iterator[pa.Table]:
    with about("--users"):
        yield from read_batches(task.users_file, USERS, size, task.row_groups, repeated=[SEEN])


def _read_rows(task: AuditTask, size: int) -> Iterator[pa.Table]:
    if task.rows_file is not None:
        repeated = [field.name for field in RECOMMENDATIONS if pa.types.is_string(field.type)]
        with about("--staged"):
            yield from read_batches(task.rows_file, RECOMMENDATIONS, size, repeated=repeated)
