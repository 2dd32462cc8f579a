"""Check a staged run against the tables it was made of, knowing nothing of how it was made.

    python -m beam_jobs.audit --staged runs/local/_staging/2026-01-31-1f3a9c0e

Passing leaves `audit.json` in the staged folder, which publishing asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadAllFromParquetBatched
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import files, launch, tables
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
from beam_jobs.partition import encode_strings, partitions_for, split_by_hash
from beam_jobs.run_report import FILE, RunReport, candidates_file, find_partition
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
    candidates_file: str
    """Of `beam_jobs.schema.CANDIDATES`; workers read it themselves, as it may be too large to travel with the code."""
    partitions: int

    def expand(self, both: tuple[beam.PCollection[pa.Table], beam.PCollection[pa.Table]]) -> beam.PCollection[Findings]:
        """One collection of one merged `Findings`."""
        users, recommendations = both
        recommendations |= "Encode strings" >> beam.Map(encode_strings).with_output_types(pa.Table)
        users |= "Locate seen" >> beam.Map(_locate, self.candidates_file).with_output_types(pa.Table)
        return (
            {
                "users": users | "Split users" >> self._split(),
                "recommendations": recommendations | "Split rows" >> self._split(),
            }
            | "Meet by user" >> beam.CoGroupByKey()
            | "Check" >> beam.Map(_check, self.candidates_file, self.rules)
            | "Merge" >> beam.CombineGlobally(merge)
        )

    def _split(self) -> beam.PTransform:
        return beam.FlatMap(split_by_hash, self.partitions).with_output_types(tuple[int, pa.Table])


def find_violations(
    pipeline: beam.Pipeline, report: RunReport, staged: str, users_files: Sequence[str], rows: beam.PCollection[str]
) -> beam.PCollection[Findings]:
    """Read the users table, and the files of recommendations named by `rows`, and check them: one `Findings`."""
    users = (
        pipeline
        | "List users files" >> beam.Create(users_files)
        | "Read users" >> ReadAllFromParquetBatched(columns=USERS.names)
    )
    recommendations = rows | "Read recommendations" >> ReadAllFromParquetBatched()
    rules = Rules(report.top_n, report.exclude_seen, report.min_score, report.model_version)
    checks = FindViolations(rules, candidates_file(staged), partitions_for(report.most_rows))
    return (users, recommendations) | "Find violations" >> checks


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
    files.delete([files.join(staged, AUDIT_FILE)])  # of an earlier audit, which this one may not confirm
    users_files = files.match(users or report.users, "--users")
    for path in users_files:
        tables.check_schema(path, USERS, "--users")
    row_files = describe_rows(staged, partition)
    paths = [files.join(partition, file["name"]) for file in row_files]
    findings = files.join(staged, FINDINGS_FILE)
    launch.run(audit_pipeline(report, staged, users_files, paths, findings, options))
    conclude(staged, report, row_files, files.read_json(findings, "--staged"))


def audit_pipeline(
    report: RunReport,
    staged: str,
    users_files: Sequence[str],
    rows: Sequence[str],
    findings: str,
    options: PipelineOptions,
) -> beam.Pipeline:
    """Both tables in, one line of JSON out."""
    pipeline = beam.Pipeline(options=options)
    paths = pipeline | "List recommendations files" >> beam.Create(rows)
    _ = (
        find_violations(pipeline, report, staged, users_files, paths)
        | "As JSON" >> beam.Map(json.dumps)
        | "Write findings" >> beam.io.WriteToText(findings, num_shards=1, shard_name_template="")
    )
    return pipeline


def conclude(staged: str, report: RunReport, row_files: Sequence[Mapping[str, Any]], found: Findings) -> None:
    """Hold what was found against what the run says of itself, and write `audit.json` where both agree.

    Args:
      staged: the folder of the run.
      report: what the run says.
      row_files: what `describe_rows` says.
      found: what `find_violations` found in these files.

    Raises:
      InputError: the users table has a user twice.
      RunError: the run breaks a rule.
    """
    candidates = sum(tables.read_footer(candidates_file(staged), "--staged")[1])
    counts = found["counts"] | {
        "candidates": candidates,
        "pairs_scored": found["counts"]["users_scored"] * candidates,
    }
    violations = merge([found, check_counters(report, row_files, counts)])["violations"]
    if REPEATED_USER in violations:
        number, example = violations[REPEATED_USER]
        raise InputError(
            f"--users {report.users}: {example} and {number - 1} more are in it repeatedly; leave one row each"
        )
    if violations:
        raise _failed(
            staged, "; ".join(f"{kind}: {number:,}, such as {where}" for kind, (number, where) in violations.items())
        )
    # With its files, which are those audited, by checksum: so publishing can tell whether anything changed since.
    files.write_json({"report": asdict(report)}, files.join(staged, AUDIT_FILE))


def describe_rows(staged: str, partition: str) -> tuple[dict[str, Any], ...]:
    """The files of rows. Raises RunError: one is damaged or has another schema, or there is a file of another kind."""
    try:
        described = tables.describe(files.join(partition, "*.parquet"), "--staged")
        for file in described:
            tables.check_exact_schema(files.join(partition, file["name"]), RECOMMENDATIONS, "--staged")
    except InputError as error:
        raise _failed(staged, str(error)) from None
    expected = {files.join(partition, name) for name in (FILE, *(file["name"] for file in described))}
    if strays := sorted(set(files.list_files(files.join(partition, "**"))) - expected):
        raise _failed(staged, f"a file that is not the run's, {strays[0]}")
    return described


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


@lru_cache(maxsize=1)
def _read_candidates(path: str) -> pa.Array:
    """Once a process and not once a table. A path is that of one run."""
    return tables.read_table(path, CANDIDATES, "--staged")[MOVIE_TITLE].combine_chunks()


def _locate(users: pa.Table, candidates_file: str) -> pa.Table:
    return locate_seen(users, _read_candidates(candidates_file))


def _check(met: tuple[int, dict[str, Iterable[pa.Table]]], candidates_file: str, rules: Rules) -> Findings:
    _, group = met
    return check_partition(
        pa.concat_tables([*group["users"], LOCATED.empty_table()]),
        pa.concat_tables([RECOMMENDATIONS.empty_table(), *(t.cast(RECOMMENDATIONS) for t in group["recommendations"])]),
        _read_candidates(candidates_file),
        rules,
    )


def _failed(staged: str, what: str) -> RunError:
    return RunError(f"the audit of {staged} found: {what}; nothing was published")


if __name__ == "__main__":
    run(main)
