"""Check a staged run against the tables it was made of, knowing nothing of how it was made.

    python -m beam_jobs.audit --staged runs/local/_staging/2026-01-31-1f3a9c0e

Passing leaves `audit.json` in the staged folder, which publishing asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadAllFromParquetBatched
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import files, launch
from beam_jobs.checks import (
    LOCATED,
    REPEATED_USER,
    Findings,
    Rules,
    check_counters,
    check_partition,
    locate_seen,
    merge,
)
from beam_jobs.partition import partitions_for, split_by_hash
from beam_jobs.run_report import FILE, RunReport, find_partition
from beam_jobs.schema import CANDIDATES, RECOMMENDATIONS, USERS
from model.cli import FlagParser, InputError, RunError, run
from model.contract import MOVIE_TITLE

AUDIT_FILE = "audit.json"
FINDINGS_FILE = "findings.json"
"""What the pipeline found, on its way back to the process that started it."""


@dataclass  # not frozen: Beam sets a label on it
class FindViolations(beam.PTransform):
    """Tables of users and of recommendations, as a pair of collections, to what is wrong with them.

    One shuffle, of tables: a user's row and recommendations meet in the partition of the user's id.
    """

    rules: Rules
    partitions: int

    def expand(
        self, tables: tuple[beam.PCollection[pa.Table], beam.PCollection[pa.Table]]
    ) -> beam.PCollection[Findings]:
        """One collection of one merged `Findings`."""
        users, recommendations = tables
        users |= "Locate seen" >> beam.Map(locate_seen, self.rules.candidates).with_output_types(pa.Table)
        return (
            {
                "users": users | "Split users" >> self._split(),
                "recommendations": recommendations | "Split rows" >> self._split(),
            }
            | "Meet by user" >> beam.CoGroupByKey()
            | "Check" >> beam.MapTuple(self._check)
            | "Merge" >> beam.CombineGlobally(merge)
        )

    def _check(self, _: int, group: dict[str, Iterable[pa.Table]]) -> Findings:
        return check_partition(
            pa.concat_tables([*group["users"], LOCATED.empty_table()]),
            pa.concat_tables([*group["recommendations"], RECOMMENDATIONS.empty_table()]),
            self.rules,
        )

    def _split(self) -> beam.PTransform:
        return beam.FlatMap(split_by_hash, self.partitions).with_output_types(tuple[int, pa.Table])


def audit(staged: str, options: PipelineOptions, users: str | None = None) -> None:
    """Check the run in `staged` and write `audit.json` there.

    Args:
      staged: the folder that `beam_jobs.score` staged.
      options: of the pipeline.
      users: the glob of the users table where it is no longer the one of the run.

    Raises:
      InputError: `staged` holds no run, or the users table cannot be read or has a user twice.
      RunError: the run breaks a rule.
    """
    partition = find_partition(staged)
    report = RunReport.read(partition, "--staged")
    passed = files.join(staged, AUDIT_FILE)
    files.delete([passed])  # of an earlier audit, which this one may not confirm
    users = users or report.users
    users_files = files.match(users, "--users")
    for path in users_files:
        files.check_schema(path, USERS, "--users")
    candidates = files.read_table(files.join(staged, "candidates.parquet"), CANDIDATES, "--staged")[MOVIE_TITLE]
    row_files = _describe(partition, staged)

    rules = Rules(
        candidates.combine_chunks(), report.top_n, report.exclude_seen, report.min_score, report.model_version
    )
    checks = FindViolations(rules, partitions_for(sum(file["rows"] for file in row_files)))
    findings = files.join(staged, FINDINGS_FILE)
    paths = [files.join(partition, file["name"]) for file in row_files]
    launch.run(audit_pipeline(users_files, paths, checks, findings, options))
    found = files.read_json(findings, "--staged")

    counts = found["counts"] | {
        "candidates": len(candidates),
        "pairs_scored": found["counts"]["users_scored"] * len(candidates),
    }
    violations = merge([found, check_counters(report, row_files, counts)])["violations"]
    if REPEATED_USER in violations:
        number, example = violations[REPEATED_USER]
        raise InputError(f"--users {users}: {example} and {number - 1} more are in it repeatedly; leave one row each")
    if violations:
        raise _failed(
            staged, "; ".join(f"{kind}: {number:,}, such as {where}" for kind, (number, where) in violations.items())
        )
    # With its files, which are those audited, by checksum: so publishing can tell whether anything changed since.
    files.write_json({"report": asdict(report)}, passed)


def audit_pipeline(
    users: Sequence[str], rows: Sequence[str], checks: FindViolations, findings: str, options: PipelineOptions
) -> beam.Pipeline:
    """Both tables in, one line of JSON out."""
    pipeline = beam.Pipeline(options=options)
    tables = (
        pipeline
        | "List users files" >> beam.Create(users)
        | "Read users" >> ReadAllFromParquetBatched(columns=USERS.names),
        pipeline
        | "List recommendations files" >> beam.Create(rows)
        | "Read recommendations" >> ReadAllFromParquetBatched(),
    )
    _ = (
        tables
        | "Find violations" >> checks
        | "As JSON" >> beam.Map(json.dumps)
        | "Write findings" >> beam.io.WriteToText(findings, num_shards=1, shard_name_template="")
    )
    return pipeline


def build_parser() -> FlagParser:
    """The flags of this command; what it does not know goes to Beam."""
    parser = FlagParser(prog="python -m beam_jobs.audit", description="Check a staged run before it is published.")
    parser.add_argument("--staged", required=True, help="folder that beam_jobs.score --stage_only named")
    parser.add_argument("--users", help="glob of the users table; by default the one that the run read")
    return parser


def main(argv: Sequence[str]) -> None:
    """Audit, and say that it passed."""
    args, options = launch.parse(build_parser(), argv)
    audit(args.staged, options, args.users)
    print(f"passed: {args.staged}")


def _describe(partition: str, staged: str) -> tuple[dict[str, Any], ...]:
    """The files of rows. Raises RunError: one is damaged or has another schema, or there is a file of another kind."""
    try:
        described = files.describe(files.join(partition, "*.parquet"), "--staged")
        for file in described:
            files.check_exact_schema(files.join(partition, file["name"]), RECOMMENDATIONS, "--staged")
    except InputError as error:
        raise _failed(staged, str(error)) from None
    expected = {files.join(partition, name) for name in (FILE, *(file["name"] for file in described))}
    if strays := sorted(set(files.list_files(files.join(partition, "**"))) - expected):
        raise _failed(staged, f"a file that is not the run's, {strays[0]}")
    return described


def _failed(staged: str, what: str) -> RunError:
    return RunError(f"the audit of {staged} found: {what}; nothing was published")


if __name__ == "__main__":
    run(main)
