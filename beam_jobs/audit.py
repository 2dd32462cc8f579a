"""Check a staged run against the tables it was made of, knowing nothing of how it was made.

    python -m beam_jobs.audit --staged runs/local/_staging/2026-01-31-1f3a9c0e

Passing leaves `audit.json` in the staged folder, which publishing asks for.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.auditing.rules import (
    REPEATED_USER,
    Findings,
    Rules,
    check_counters,
    check_coverage,
    check_distinct,
    check_rows,
    merge,
)
from beam_jobs.io import parquet_files, storage
from beam_jobs.io.lookup import array, positions
from beam_jobs.io.schemas import CANDIDATES, ENCODED_RECOMMENDATIONS, RECOMMENDATIONS, USERS
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import parse_flags
from beam_jobs.pipeline.parallelism import threads_a_process, users_a_batch
from beam_jobs.pipeline.shuffle import split_to_shuffle, unpack
from beam_jobs.publishing.run_report import FILE, RunReport, candidates_file, find_partition
from model.cli import FlagParser, InputError, RunError, run
from model.contract import MOVIE_TITLE, SEEN, USER_ID

AUDIT_FILE = "audit.json"
FINDINGS_FILE = "findings.json"
"""What the pipeline found, on its way back to the process that started it."""

IDS_A_PARTITION = 1 << 16
"""Of users, held at a time to see that they are distinct."""

_IDS = pa.schema([USERS.field(USER_ID)])


@dataclass(frozen=True)
class Pair:
    """A file of recommendations and what of the users table it is of."""

    rows_file: str | None
    """None where there should be one and is not."""
    users_file: str
    row_groups: range


@dataclass  # not frozen: Beam sets a label on it
class FindViolations(beam.PTransform):
    """Pairs of files to what is wrong with them.

    Recommendations are not shuffled: they lie in the order of the users table, so that both are read side by side, a
    batch of users at a time. One shuffle brings user ids together, because one that is twice may be in two files.
    """

    rules: Rules
    candidates_file: str
    """Of `beam_jobs.io.schemas.CANDIDATES`; workers read it, as it may be too large to travel with the code."""
    partitions: int
    """That user ids are divided into."""
    users_a_batch: int
    """Whose recommendations are checked at a time."""

    def expand(self, pairs: beam.PCollection[Pair]) -> beam.PCollection[Findings]:
        """One collection of one merged `Findings`."""
        found = pairs | "Check rows" >> beam.FlatMap(
            _check_pair, self.candidates_file, self.rules, self.users_a_batch
        ).with_output_types(Findings)
        repeated = (
            pairs
            | "Read user ids" >> beam.FlatMap(_read_ids).with_output_types(pa.Table)
            | "Split by user" >> beam.FlatMap(split_to_shuffle, self.partitions).with_output_types(tuple[int, bytes])
            | "Meet by user" >> beam.GroupByKey()
            | "Check that users are distinct" >> beam.Map(_check_distinct)
        )
        return (found, repeated) | beam.Flatten() | "Merge" >> beam.CombineGlobally(merge)


def find_violations(
    report: RunReport, staged: str, pairs: beam.PCollection[Pair], threads: int | None
) -> beam.PCollection[Findings]:
    """Check the recommendations and users that `pairs` name, in processes of so many threads: one `Findings`."""
    rules = Rules(report.top_n, report.exclude_seen, report.min_score, report.model_version)
    partitions = max(1, -(-report.counters.get("users_read", 0) // IDS_A_PARTITION))
    users = users_a_batch(report.top_n, threads)
    checks = FindViolations(rules, candidates_file(staged), partitions, users)
    return pairs | "Find violations" >> checks


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
    storage.delete([storage.join(staged, AUDIT_FILE)])  # of an earlier audit, which this one may not confirm
    users_files = storage.match(users or report.users, "--users")
    groups = [parquet_files.check_schema(path, USERS, "--users") for path in users_files]
    row_files = describe_rows(staged, partition)
    findings = storage.join(staged, FINDINGS_FILE)
    pairs = pair_files(report, partition, users_files, groups)
    execution.run(audit_pipeline(report, staged, pairs, findings, options))
    conclude(staged, report, row_files, sum(map(sum, groups)), storage.read_json(findings, "--staged"))


def pair_files(
    report: RunReport, partition: str, users_files: Sequence[str], groups: Sequence[Sequence[int]]
) -> list[Pair]:
    """Each file of recommendations with its users as the report says, and each row group of users that none is of.

    Args:
      report: of the run.
      partition: the folder of the recommendations.
      users_files: of the users table, by name.
      groups: the rows of each row group of each.
    """
    pairs, left = [], [set(range(len(rows))) for rows in groups]
    for name, number, first, past in report.parts:
        rows_file = storage.join(partition, name)
        if number < len(users_files) and past <= len(groups[number]):
            left[number] -= set(range(first, past))
            pairs.append(Pair(rows_file, users_files[number], range(first, past)))
        else:
            pairs.append(Pair(rows_file, users_files[0], range(0)))
    missed = ((path, group) for path, numbers in zip(users_files, left, strict=True) for group in sorted(numbers))
    return pairs + [Pair(None, path, range(group, group + 1)) for path, group in missed]


def audit_pipeline(
    report: RunReport, staged: str, pairs: Sequence[Pair], findings: str, options: PipelineOptions
) -> beam.Pipeline:
    """Pairs of files in, one line of JSON out."""
    pipeline = beam.Pipeline(options=options)
    _ = (
        find_violations(
            report,
            staged,
            pipeline | "List files" >> beam.Create(pairs) | beam.Reshuffle(),
            threads_a_process(options),
        )
        | "As JSON" >> beam.Map(json.dumps)
        | "Write findings" >> beam.io.WriteToText(findings, num_shards=1, shard_name_template="")
    )
    return pipeline


def conclude(
    staged: str, report: RunReport, row_files: Sequence[Mapping[str, Any]], users: int, found: Findings
) -> None:
    """Hold what was found against what the run says of itself, and write `audit.json` where both agree.

    Args:
      staged: the folder of the run.
      report: what the run says.
      row_files: what `describe_rows` says.
      users: rows of the users table.
      found: what `find_violations` found in these files.

    Raises:
      InputError: the users table has a user twice.
      RunError: the run breaks a rule.
    """
    candidates = sum(parquet_files.read_footer(candidates_file(staged), "--staged")[1])
    counts = found["counts"] | {
        "candidates": candidates,
        "pairs_scored": found["counts"]["users_scored"] * candidates,
    }
    violations = merge([found, check_counters(report, row_files, counts), check_coverage(users, counts)])["violations"]
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
    storage.write_json({"report": asdict(report)}, storage.join(staged, AUDIT_FILE))


def describe_rows(staged: str, partition: str) -> tuple[dict[str, Any], ...]:
    """The files of rows. Raises RunError: one is damaged or has another schema, or there is a file of another kind."""
    try:
        described = parquet_files.describe(storage.join(partition, "*.parquet"), "--staged")
        for file in described:
            parquet_files.check_exact_schema(storage.join(partition, file["name"]), RECOMMENDATIONS, "--staged")
    except InputError as error:
        raise _failed(staged, str(error)) from None
    expected = {storage.join(partition, name) for name in (FILE, *(file["name"] for file in described))}
    if strays := sorted(set(storage.list_files(storage.join(partition, "**"))) - expected):
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
    args, options = parse_flags(build_parser(), argv)
    audit(args.staged, options, args.users)
    print(f"passed: {args.staged}")


@lru_cache(maxsize=1)
def _read_candidates(path: str) -> pa.Array:
    """Once a process and not once a table. A path is that of one run."""
    return parquet_files.read_table(path, CANDIDATES, "--staged")[MOVIE_TITLE].combine_chunks()


def _check_pair(pair: Pair, candidates_file: str, rules: Rules, users_a_batch: int) -> Iterator[Findings]:
    candidates = _read_candidates(candidates_file)
    for users, rows in read_side_by_side(pair, users_a_batch, users_a_batch * rules.top_n):
        yield check_rows(users, rows, candidates, rules)


def read_side_by_side(pair: Pair, users_a_batch: int, rows_a_batch: int) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Users, some at a time, and their recommendations: all rows from where they begin to the first of another user.

    Rows that are left when all users are read come with no users. A user whose rows are elsewhere than the users table
    has them, before or after, thus meets none of them.
    """
    repeated = [field.name for field in RECOMMENDATIONS if pa.types.is_string(field.type)]
    batches = iter(())
    if pair.rows_file is not None:
        groups = range(len(parquet_files.read_footer(pair.rows_file, "--staged")[1]))
        batches = parquet_files.read_batches(
            pair.rows_file, RECOMMENDATIONS, "--staged", rows_a_batch, groups, repeated
        )
    rows = ENCODED_RECOMMENDATIONS.empty_table()
    for users in parquet_files.read_batches(pair.users_file, USERS, "--users", users_a_batch, pair.row_groups, [SEEN]):
        ids = array(users[USER_ID]).cast(pa.string())
        theirs = []
        while True:
            others = np.flatnonzero(positions(rows[USER_ID], ids) < 0)
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


def _read_ids(pair: Pair) -> Iterator[pa.Table]:
    yield from parquet_files.read_batches(pair.users_file, _IDS, "--users", IDS_A_PARTITION, pair.row_groups, [])


def _check_distinct(met: tuple[int, Iterable[bytes]]) -> Findings:
    _, ids = met
    return check_distinct(array(pa.concat_tables(table.cast(_IDS) for table in unpack(ids))[USER_ID]))


def _failed(staged: str, what: str) -> RunError:
    return RunError(f"the audit of {staged} found: {what}; nothing was published")


if __name__ == "__main__":
    run(main)
