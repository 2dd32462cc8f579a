"""Make an audited run visible to readers.

python -m beam_jobs.publish --staged runs/local/_staging/2026-01-31-1f3a9c0e --output runs/local
"""

from __future__ import annotations

from collections.abc import Sequence

from apache_beam.io.filesystems import FileSystems

from beam_jobs.audit import AUDIT_FILE
from beam_jobs.io import parquet_files, storage
from beam_jobs.publishing.replacement import replace_folders
from beam_jobs.publishing.run_report import FILE, RunReport, find_partition
from model.cli import FlagParser, InputError, run

TABLE = "recommendations"


def publish(staged: str, output: str) -> str:
    """Put the rows and the report of a staged run where readers look, instead of what the date had before.

    Returns:
      The partition's folder.

    Raises:
      InputError: `staged` holds no run that passed the audit, or its files changed since.
      RunError: the files cannot be moved; what was published before is still there.
    """
    partition, report = _audited_partition(staged)
    target = partition_of(output, report.run_date)
    replace_folders({partition: target})
    storage.delete_staged(staged)
    return target


def partition_of(output: str, run_date: str) -> str:
    """The folder in which readers find the rows of a date."""
    return storage.join(output, TABLE, f"run_date={run_date}")


def is_published(report: RunReport, output: str) -> bool:
    """Whether what readers find is the run of `report`."""
    partition = partition_of(output, report.run_date)
    if not FileSystems.exists(storage.join(partition, FILE)):
        return False
    return RunReport.read(partition, "--output").run_id == report.run_id


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m beam_jobs.publish", description="Make an audited run visible to readers.")
    parser.add_argument("--staged", required=True, help="folder that beam_jobs.score --stage_only named")
    parser.add_argument("--output", required=True, help="folder that gets recommendations/run_date=YYYY-MM-DD")
    return parser


def main(argv: Sequence[str]) -> None:
    """Publish, and say where."""
    args = build_parser().parse_args(argv)
    storage.check_writable(args.output, "--output")
    print(f"published: {publish(args.staged, args.output)}")


def _audited_partition(staged: str) -> tuple[str, RunReport]:
    partition = find_partition(staged)
    audited = storage.join(staged, AUDIT_FILE)
    if not FileSystems.exists(audited):
        raise InputError(f"--staged {staged}: has not passed the audit; run python -m beam_jobs.audit on it first")
    report = storage.read_json(audited, "--staged")["report"]
    now = storage.read_json(storage.join(partition, FILE), "--staged")
    if (
        now != report
        or list(parquet_files.describe(storage.join(partition, "*.parquet"), "--staged")) != report["files"]
    ):
        raise InputError(f"--staged {staged}: its files have changed since the audit; audit it again")
    return partition, RunReport.read(partition, "--staged")


if __name__ == "__main__":
    run(main)
