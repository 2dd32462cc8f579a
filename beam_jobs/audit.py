"""Check a staged run against the tables that it was made from, knowing nothing of how it was made.

    nightrank audit --staged runs/local/_staging/2026-01-31-1f3a9c0e

A run that passes gets an `audit.json` in its folder, which publishing asks for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.auditing.tasks import AuditTask, plan_tasks
from beam_jobs.auditing.transforms import AUDITING, FindViolations
from beam_jobs.auditing.verdict import describe_rows, judge
from beam_jobs.io import storage
from beam_jobs.io.footer import Footer, read_footer, read_footers
from beam_jobs.io.schemas import USERS
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import parse_flags
from beam_jobs.pipeline.parallelism import threads_a_process
from beam_jobs.pipeline.progress import Phase
from beam_jobs.run import StagedRun
from model.cli import FlagParser, about, run


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank audit",
        description="Check a staged run before it is published.",
        example="nightrank audit --staged runs/local/_staging/2026-01-31-1f3a9c0e",
        passes_on="Beam",
    )
    parser.add_argument("--staged", required=True, help="folder that nightrank score --stage_only named")
    parser.add_argument("--users", help="glob of the users table, if it has moved since the run")
    return parser


def main(argv: Sequence[str]) -> None:
    """Audit, and say that the run passed."""
    args, options = parse_flags(build_parser(), argv)
    audit(StagedRun(args.staged), args.users, options)
    print(f"passed: {args.staged}")


def audit(staged: StagedRun, users_glob: str | None, options: PipelineOptions) -> None:
    """Check a run and write `audit.json` into its folder.

    Args:
      staged: the run.
      users_glob: the files of the users table; None for those that the run read.
      options: of the pipeline.

    Raises:
      InputError: `staged` holds no run, or the users table cannot be read or has a user twice.
      RunError: the run breaks a rule.
    """
    with about("--staged"):
        report = staged.read_report()
        candidates = read_footer(staged.candidates_file)
    storage.delete([staged.audit_file])  # An earlier audit does not vouch for the files of today.
    users = _read_users(users_glob or report.spec.users_glob)
    user_count = sum(footer.rows for footer in users)
    row_files = describe_rows(staged, report.spec.run_date)
    tasks = plan_tasks(report, staged.rows_folder(report.spec.run_date), users)
    find = FindViolations(report.spec, staged.candidates_file, user_count, threads_a_process(options))
    pipeline = audit_pipeline(tasks, find, staged.findings_file, options)
    execution.run(pipeline, run_id=report.spec.run_id, phases=[Phase(AUDITING, user_count, "users")])
    with about("--staged"):
        findings = storage.read_json(staged.findings_file)
    with about("--users"):
        judge(staged, report, row_files, findings, user_count, candidates.rows)


def audit_pipeline(
    tasks: Sequence[AuditTask], find: FindViolations, findings_file: str, options: PipelineOptions
) -> beam.Pipeline:
    """Files of recommendations in, one line of JSON out."""
    pipeline = beam.Pipeline(options=options)
    _ = (
        pipeline
        | "List files" >> beam.Create(tasks)
        | "Spread over workers" >> beam.Reshuffle()
        | "Find violations" >> find
        | "As JSON" >> beam.Map(json.dumps)
        | "Write findings" >> beam.io.WriteToText(findings_file, num_shards=1, shard_name_template="")
    )
    return pipeline


def _read_users(pattern: str) -> list[Footer]:
    with about("--users"):
        users = read_footers(storage.match(pattern))
        for footer in users:
            footer.check_columns(USERS)
    return users


if __name__ == "__main__":
    run(main)
