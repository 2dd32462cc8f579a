"""Make an audited run visible to readers.

python -m beam_jobs.publish --staged runs/local/_staging/2026-01-31-1f3a9c0e --output runs/local
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from apache_beam.io.filesystems import FileSystems

from beam_jobs import files
from beam_jobs.audit import AUDIT_FILE
from beam_jobs.run_report import FILE, find_partition
from model.cli import FlagParser, InputError, RunError, run

TABLE = "recommendations"


def publish(staged: str, output: str) -> str:
    """Put the rows and the report of a staged run where readers look, instead of what the date had before.

    On a local filesystem the partition is one folder that is renamed into place, after the former one was renamed
    out of the way, and back again where that fails: readers find one run or the other. An object store renames
    nothing: there the new files, whose names no other run has, are copied in before the former ones are deleted, so
    a reader in that moment can find both runs, and none finds half of one.

    Returns:
      The partition's folder.

    Raises:
      InputError: `staged` holds no run that passed the audit, or its files changed since.
      RunError: the files cannot be moved; what was published before is still there.
    """
    partition = _audited_partition(staged)
    target = files.join(output, TABLE, FileSystems.split(partition)[1])
    try:
        if files.is_local(staged) and files.is_local(output):
            _rename_into_place(Path(partition), Path(target))
        else:
            _copy_into_place(partition, target)
    except OSError as error:
        raise RunError(f"{target}: cannot be published ({error}); what was there before still is") from error
    files.delete([staged])
    return target


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m beam_jobs.publish", description="Make an audited run visible to readers.")
    parser.add_argument("--staged", required=True, help="folder that beam_jobs.score --stage_only named")
    parser.add_argument("--output", required=True, help="folder that gets recommendations/run_date=YYYY-MM-DD")
    return parser


def main(argv: Sequence[str]) -> None:
    """Publish, and say where."""
    args = build_parser().parse_args(argv)
    files.check_writable(args.output, "--output")
    print(f"published: {publish(args.staged, args.output)}")


def _audited_partition(staged: str) -> str:
    partition = find_partition(staged)
    audited = files.join(staged, AUDIT_FILE)
    if not FileSystems.exists(audited):
        raise InputError(f"--staged {staged}: has not passed the audit; run python -m beam_jobs.audit on it first")
    if files.read_json(audited, "--staged")["files"] != list(files.describe(files.join(partition, "*.parquet"))):
        raise InputError(f"--staged {staged}: its files have changed since the audit; audit it again")
    return partition


def _rename_into_place(partition: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    former = partition.parent / "replaced"
    had_former = target.exists()
    if had_former:
        target.rename(former)
    try:
        partition.rename(target)
    except OSError:
        if had_former:
            former.rename(target)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _copy_into_place(partition: str, target: str) -> None:
    former = files.list_files(files.join(target, "*.parquet"))
    added = []
    files.make_folder(target)
    try:
        # The report comes last, so that it never tells of files that are not there.
        for source in [*files.list_files(files.join(partition, "*.parquet")), files.join(partition, FILE)]:
            place = files.join(target, FileSystems.split(source)[1])
            added.append(place)
            FileSystems.copy([source], [place])
    except Exception as error:
        files.delete(place for place in added if place not in former)
        raise OSError(str(error)) from error
    files.delete(path for path in former if path not in added)


if __name__ == "__main__":
    run(main)
