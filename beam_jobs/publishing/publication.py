"""Publish a run that passed the audit: its recommendations replace what readers had for its date."""

from __future__ import annotations

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.footer import read_footers
from beam_jobs.publishing.replacement import replace_folders
from beam_jobs.run import REPORT_FILE, RunReport, RunSpec, StagedRun
from model.cli import InputError

TABLE = "recommendations"


def published_folder(output: str, run_date: str) -> str:
    """Where readers find the recommendations of a date."""
    return storage.join(output, TABLE, f"run_date={run_date}")


def publish(staged: StagedRun, output: str) -> str:
    """Move the recommendations and the report of a staged run to where readers look, and delete the staging folder.

    Returns:
      The published folder.

    Raises:
      InputError: `staged` holds no run that passed the audit, or its files have changed since.
      RunError: the files cannot be moved. What was published before is still there.
    """
    run_date = _check_audited(staged)
    target = published_folder(output, run_date)
    replace_folders({staged.rows_folder(run_date): target})
    storage.delete_staged(staged.folder)
    return target


def is_published(spec: RunSpec, output: str) -> bool:
    """Whether the run `spec` is what readers find for its date."""
    folder = published_folder(output, spec.run_date)
    return storage.exists(storage.join(folder, REPORT_FILE)) and RunReport.read(folder).spec.run_id == spec.run_id


def _check_audited(staged: StagedRun) -> str:
    """The date of the run. Raises InputError unless it passed the audit and is unchanged since."""
    report = staged.read_report()
    if not storage.exists(staged.audit_file):
        raise InputError(f"{staged.folder}: has not passed the audit; run `nightrank audit` on it first")
    audited = storage.read_json(staged.audit_file)["report"]
    folder = staged.rows_folder(report.spec.run_date)
    footers = read_footers(storage.list_files(storage.join(folder, "*.parquet")))
    if report.as_json() != audited or list(parquet_files.describe(footers)) != audited["files"]:
        raise InputError(f"{staged.folder}: its files have changed since the audit; audit it again")
    return report.spec.run_date
