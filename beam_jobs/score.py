r"""Score every user against every candidate and publish each user's best.

    python -m beam_jobs.score --model runs/local/model --users 'runs/local/users/*.parquet' \
        --candidates 'runs/local/candidates/*.parquet' --output runs/local --top_n 20

What is written stays out of readers' sight until it is complete and has passed the audit.
"""

from __future__ import annotations

import argparse
import math
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadFromParquetBatched, WriteToParquetBatched
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions

from beam_jobs import audit, files, launch, publish
from beam_jobs.candidates import CandidateList, read_candidates
from beam_jobs.progress import Progress
from beam_jobs.ranker import describe_model, open_ranker
from beam_jobs.recommendations import Candidates, Selection, recommend
from beam_jobs.run_report import RunReport
from beam_jobs.schema import CANDIDATES, RECOMMENDATIONS, USERS
from model.cli import FlagParser, InputError, run
from model.contract import MOVIE_TITLE

PAIRS_A_CALL = 8_000_000
"""Pairs scored by one call of the model: a second or two of work, so that a run shows progress and a retry costs little."""
FEWEST_USERS_A_CALL = 64
"""The candidates' half of the first layer is computed anew in every call, at the cost of scoring half a user."""


@dataclass(frozen=True)
class RankCandidates(beam.PTransform):
    """Blocks of users to blocks of recommendations: each user's best candidates by the model at `model`."""

    model: str
    model_version: str
    candidates: str
    """The Parquet file of them, distinct, in the order that breaks ties."""
    selection: Selection
    total_users: int
    threads: int
    """Cores that one process may use."""

    def expand(self, users: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """`beam_jobs.schema.USERS` to `beam_jobs.schema.RECOMMENDATIONS`, a table a block, nothing shuffled."""
        return users | "Recommend" >> beam.ParDo(_Recommend(self)).with_output_types(pa.Table)


class _Recommend(beam.DoFn):
    def __init__(self, settings: RankCandidates) -> None:
        self._settings = settings
        self._milliseconds = beam.metrics.Metrics.distribution(launch.NAMESPACE, "recommend_call-msec")

    def setup(self) -> None:
        settings = self._settings
        self._ranker = open_ranker(settings.model, settings.model_version, settings.threads)
        titles = files.read_table(settings.candidates, CANDIDATES, "--candidates")[MOVIE_TITLE]
        self._candidates = Candidates(titles.combine_chunks(), self._ranker)
        self._users_a_call = max(FEWEST_USERS_A_CALL, PAIRS_A_CALL // len(self._candidates))
        self._progress = Progress(settings.total_users)

    def process(self, users: pa.Table) -> Iterator[pa.Table]:
        for start in range(0, users.num_rows, self._users_a_call):
            began = time.monotonic()
            block = users.slice(start, self._users_a_call)
            rows, counts = recommend(block, self._ranker, self._candidates, self._settings.selection)
            self._milliseconds.update(int(1000 * (time.monotonic() - began)))
            self._progress.add(counts["users_scored"], counts["pairs_scored"])
            launch.count(counts)
            yield rows


def build_parser() -> FlagParser:
    """The flags of this command; what it does not know goes to Beam."""
    parser = FlagParser(prog="python -m beam_jobs.score", description="Score every user x candidate, publish top-N.")
    parser.add_argument("--model", required=True, help="folder of the exported model, local or gs://")
    parser.add_argument("--users", required=True, help="glob of the users table's Parquet files")
    parser.add_argument("--candidates", required=True, help="glob of the candidates table's Parquet files")
    parser.add_argument("--output", required=True, help="folder that gets recommendations/run_date=YYYY-MM-DD")
    parser.add_argument("--top_n", type=int, default=20, help="recommendations a user, at least 1")
    launch.add_run_date(parser)
    parser.add_argument(
        "--exclude_seen",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="leave out the titles that a user has seen",
    )
    parser.add_argument("--exclude_titles", metavar="FILE", help="text file of titles never to recommend, one a line")
    parser.add_argument("--min_score", type=float, help="leave out recommendations that score less")
    parser.add_argument("--stage_only", action="store_true", help="stop before the audit; nothing becomes visible")
    return parser


@dataclass(frozen=True)
class Plan:
    """A run that has been checked: all that scoring needs to know, and nothing has been written yet."""

    model: str
    users: Sequence[str]
    """The files, sorted."""
    users_pattern: str
    total_users: int
    candidates: CandidateList
    selection: Selection
    output: str
    run_date: str
    description: Mapping[str, Any]
    """Of the model: its `model.json`."""


def plan(args: argparse.Namespace, threads: int) -> Plan:
    """Check everything that can be checked before work begins.

    Raises:
      InputError: a flag or a file that it names is not usable.
    """
    if args.top_n < 1:
        raise InputError(f"--top_n is {args.top_n}; give a whole number of at least 1")
    if args.min_score is not None and not math.isfinite(args.min_score):
        raise InputError(f"--min_score is {args.min_score}; give a finite number")
    run_date = launch.parse_run_date(args.run_date)
    users = files.match(args.users, "--users")
    for path in users:
        files.check_schema(path, USERS, "--users")
    total_users = files.num_rows(users)
    if not total_users:
        raise InputError(f"--users {args.users}: no users in {len(users)} file(s); give at least one")
    candidates = read_candidates(args.candidates, args.exclude_titles)
    files.check_writable(args.output, "--output")
    return Plan(
        model=args.model,
        users=users,
        users_pattern=args.users,
        total_users=total_users,
        candidates=candidates,
        selection=Selection(args.top_n, args.exclude_seen, args.min_score),
        output=args.output,
        run_date=run_date,
        description=open_ranker(args.model, threads).description,
    )


def stage(plan: Plan, options: PipelineOptions) -> str:
    """Score into a folder that no reader looks at.

    Returns:
      The folder: `run_date=D/part-*.parquet` and `run_date=D/_run.json` in it, and `candidates.parquet` beside them.
    """
    run_id = uuid.uuid4().hex[:8]
    staged = f"{plan.output}/_staging/{plan.run_date}-{run_id}"
    partition = f"{staged}/run_date={plan.run_date}"
    candidates = f"{staged}/candidates.parquet"
    files.write_table(plan.candidates.table, candidates)

    began = time.monotonic()
    pipeline = beam.Pipeline(options=options)
    (
        pipeline
        | "Read users" >> ReadFromParquetBatched(plan.users_pattern, columns=USERS.names)
        | "Rank candidates" >> RankCandidates(candidates, plan)
        | "Write recommendations" >> WriteToParquetBatched(
            f"{partition}/part-{run_id}", RECOMMENDATIONS, codec="snappy", file_name_suffix=".parquet"
        )
    )
    counters = launch.run(pipeline)
    seconds = time.monotonic() - began
    return staged


def main(argv: Sequence[str]) -> None:
    """Check everything, score out of sight, audit, publish."""
    args, options = launch.parse(build_parser(), argv)
    staged = stage(plan(args), options)
    if args.stage_only:
        print(f"staged, not audited and not published: {staged}")
        return
    audit.audit(staged, options)
    print(publish.publish(staged, args.output))


if __name__ == "__main__":
    run(main)
