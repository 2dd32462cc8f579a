"""Make an audited run visible to readers.

nightrank publish --staged runs/local/_staging/2026-01-31-1f3a9c0e --output runs/local
"""

from __future__ import annotations

from collections.abc import Sequence

from beam_jobs.io import storage
from beam_jobs.publishing.publication import publish
from beam_jobs.run import StagedRun
from model.cli import FlagParser, about, run


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank publish",
        description="Make a run that passed the audit visible to readers.",
        example="nightrank publish --staged runs/local/_staging/2026-01-31-1f3a9c0e --output runs/local",
    )
    parser.add_argument("--staged", required=True, help="folder that nightrank score --stage_only named")
    parser.add_argument("--output", required=True, help="folder that gets recommendations/run_date=YYYY-MM-DD")
    return parser


def main(argv: Sequence[str]) -> None:
    """Publish, and say where."""
    args = build_parser().parse_args(argv)
    with about("--output"):
        storage.check_writable(args.output)
    with about("--staged"):
        folder = publish(StagedRun(args.staged), args.output)
    print(f"published: {folder}")


if __name__ == "__main__":
    run(main)
