"""Does a run pass: what the audit found, held against what the run says of itself."""

from __future__ import annotations

from collections.abc import Sequence

from beam_jobs.auditing.rules import REPEATED_USER, Findings, check_counters, check_coverage, merge
from beam_jobs.io import parquet_files, storage
from beam_jobs.io.footer import read_footers
from beam_jobs.io.parquet_files import FileDescription
from beam_jobs.io.schemas import RECOMMENDATIONS
from beam_jobs.run import REPORT_FILE, RunReport, StagedRun
from model.cli import InputError, RunError


def describe_rows(staged: StagedRun, run_date: str) -> tuple[FileDescription, ...]:
    """A description of each file of recommendations, by name.

    Raises:
      RunError: a file is damaged or has another schema, or there is a file of another kind.
    """
    folder = staged.rows_folder(run_date)
    try:
        footers = read_footers(storage.list_files(storage.join(folder, "*.parquet")))
        for footer in footers:
            footer.check_exact_columns(RECOMMENDATIONS)
    except InputError as error:
        raise _failed(staged, str(error)) from None
    expected = {storage.join(folder, REPORT_FILE), *(footer.path for footer in footers)}
    if strays := sorted(set(storage.list_files(storage.join(folder, "**"))) - expected):
        raise _failed(staged, f"a file that is not the run's, {strays[0]}")
    return parquet_files.describe(footers)


def judge(
    staged: StagedRun,
    report: RunReport,
    row_files: Sequence[FileDescription],
    found: Findings,
    user_count: int,
    candidate_count: int,
) -> None:
    """Let a run pass or fail; write `audit.json` where it passes.

    Args:
      staged: the run.
      report: what the run says of itself.
      row_files: the files that are there, as `describe_rows` returns them.
      found: what `FindViolations` found in these files.
      user_count: rows of the users table.
      candidate_count: rows of the run's candidates.

    Raises:
      InputError: the users table has a user twice.
      RunError: the run breaks a rule.
    """
    counts = found["counts"] | {
        "candidates": candidate_count,
        "pairs_scored": found["counts"]["users_scored"] * candidate_count,
    }
    checks = [found, check_counters(report, row_files, counts), check_coverage(user_count, counts)]
    violations = merge(checks)["violations"]
    if REPEATED_USER in violations:
        number, example = violations[REPEATED_USER]
        raise InputError(
            f"{report.spec.users_glob}: {number:,} rows repeat a user, such as {example}; keep one row for each user"
        )
    if violations:
        raise _failed(
            staged, "; ".join(f"{kind}: {number:,}, such as {where}" for kind, (number, where) in violations.items())
        )
    # The report holds the checksums of the audited files, so publishing can tell whether anything has changed since.
    storage.write_json({"report": report.as_json()}, staged.audit_file)


def _failed(staged: StagedRun, what: str) -> RunError:
    return RunError(f"the audit of {staged.folder} found: {what}; nothing was published")
