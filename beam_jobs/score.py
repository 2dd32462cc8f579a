r"""Score every user against every candidate and publish each user's best.

    python -m beam_jobs.score --model runs/local/model --users 'runs/local/users/*.parquet' \
        --candidates 'runs/local/candidates/*.parquet' --output runs/local --top_n 20

What is written stays out of readers' sight until it is complete and has passed the audit.
"""

from __future__ import annotations

import argparse
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.parquetio import ReadAllFromParquetBatched, WriteToParquetBatched
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import audit, files, launch, publish
from beam_jobs.candidates import CandidateList, read_candidates
from beam_jobs.progress import Progress
from beam_jobs.ranker import open_ranker
from beam_jobs.recommendations import Candidates, Selection, recommend
from beam_jobs.run_report import RunReport, render
from beam_jobs.schema import CANDIDATES, RECOMMENDATIONS, USERS
from model.cli import FlagParser, InputError, run
from model.contract import MOVIE_TITLE

PAIRS_A_CALL = 8_000_000
"""Pairs scored by one call of the model: a second or two of work, so progress shows and a retry costs little."""
FEWEST_USERS_A_CALL = 64
"""A call computes the candidates' half of the first layer anew, which costs as much as scoring half a user."""
BYTES_A_BUNDLE = 1 << 20
"""Of users' Parquet, as far as row groups allow: thousands of users, so that one file keeps many workers busy."""


@dataclass(frozen=True)
class Plan:
    """A run that has been checked: all that scoring needs to know, and nothing has been written yet."""

    run_id: str
    run_date: str
    model: str
    description: Mapping[str, Any]
    """The model's `model.json`."""
    users: str
    """The glob."""
    users_files: Sequence[str]
    total_users: int
    candidates: CandidateList
    selection: Selection
    output: str
    threads: int
    """Cores that one process may use."""

    @property
    def staged(self) -> str:
        """The folder that everything is written to first, where no reader looks."""
        return files.join(self.output, "_staging", f"{self.run_date}-{self.run_id}")

    @property
    def partition(self) -> str:
        """The folder of the rows, in `staged`."""
        return files.join(self.staged, f"run_date={self.run_date}")

    @property
    def candidates_file(self) -> str:
        """The candidates as this run has them, so that every worker scores one list in one order."""
        return files.join(self.staged, "candidates.parquet")


@dataclass  # not frozen: Beam sets a label on it
class RankCandidates(beam.PTransform):
    """Tables of users to tables of recommendations: each user's best candidates. Nothing is shuffled."""

    plan: Plan

    def expand(self, users: beam.PCollection[pa.Table]) -> beam.PCollection[pa.Table]:
        """`beam_jobs.schema.USERS` to `beam_jobs.schema.RECOMMENDATIONS`."""
        return users | beam.ParDo(_Recommend(self.plan)).with_output_types(pa.Table)


class _Recommend(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._model, self._model_version = plan.model, plan.description["model_version"]
        self._candidates_file, self._selection = plan.candidates_file, plan.selection
        self._total_users, self._threads = plan.total_users, plan.threads

    def setup(self) -> None:
        self._ranker = open_ranker(self._model, self._threads, self._model_version)
        table = files.read_table(self._candidates_file, CANDIDATES, "--candidates")
        self._candidates = Candidates(table[MOVIE_TITLE].combine_chunks(), self._ranker)
        self._users_a_call = max(FEWEST_USERS_A_CALL, PAIRS_A_CALL // len(self._candidates))
        self._progress = Progress(self._total_users)
        self._milliseconds = Metrics.distribution(launch.NAMESPACE, "recommend_call-msec")

    def process(self, users: pa.Table) -> Iterator[pa.Table]:
        for start in range(0, users.num_rows, self._users_a_call):
            began = time.monotonic()
            block = users.slice(start, self._users_a_call)
            rows, counts = recommend(block, self._ranker, self._candidates, self._selection)
            self._milliseconds.update(int(1_000 * (time.monotonic() - began)))
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
        "--exclude_seen", action="store_true", default=True, help="leave out the titles that a user has seen"
    )
    parser.add_argument("--no_exclude_seen", dest="exclude_seen", action="store_false", help="recommend them too")
    parser.add_argument("--exclude_titles", metavar="FILE", help="text file of titles never to recommend, one a line")
    parser.add_argument("--min_score", type=float, help="leave out recommendations that score less")
    parser.add_argument("--stage_only", action="store_true", help="stop before the audit; nothing becomes visible")
    return parser


def check(args: argparse.Namespace, options: PipelineOptions) -> Plan:
    """Check everything that can be checked before work begins.

    Raises:
      InputError: a flag, or a file that it names, is not usable.
    """
    if args.top_n < 1:
        raise InputError(f"--top_n is {args.top_n}; give a whole number of at least 1")
    if args.min_score is not None and not math.isfinite(args.min_score):
        raise InputError(f"--min_score is {args.min_score}; give a finite number")
    run_date = launch.parse_run_date(args.run_date)
    users_files = files.match(args.users, "--users")
    total_users = sum(files.check_schema(path, USERS, "--users") for path in users_files)
    if not total_users:
        raise InputError(f"--users {args.users}: no users in it; give at least one")
    candidates = read_candidates(args.candidates, args.exclude_titles)
    files.check_writable(args.output, "--output")
    threads = launch.threads_a_process(options)
    return Plan(
        run_id=uuid.uuid4().hex[:8],
        run_date=run_date,
        model=args.model,
        description=open_ranker(args.model, threads).description,
        users=args.users,
        users_files=users_files,
        total_users=total_users,
        candidates=candidates,
        selection=Selection(args.top_n, args.exclude_seen, args.min_score),
        output=args.output,
        threads=threads,
    )


def stage(plan: Plan, options: PipelineOptions) -> RunReport:
    """Score into `plan.staged`: `run_date=D/part-*.parquet`, `run_date=D/_run.json` and `candidates.parquet`.

    Raises:
      RunError: the pipeline failed; what it had written is deleted.
    """
    files.write_table(plan.candidates.table, plan.candidates_file)
    began = time.monotonic()
    try:
        counters = launch.run(score_pipeline(plan, options))
    except BaseException:
        files.delete_staged(plan.staged)
        raise
    seconds = time.monotonic() - began
    description, selection = plan.description, plan.selection
    report = RunReport(
        run_id=plan.run_id,
        run_date=plan.run_date,
        model_version=description["model_version"],
        model_kind=description["model_kind"],
        score_kind=description["score_kind"],
        top_n=selection.top_n,
        exclude_seen=selection.exclude_seen,
        min_score=selection.min_score,
        users=plan.users,
        candidates=plan.candidates.table.num_rows,
        counters={**counters, **plan.candidates.counts},
        seconds={"score": seconds},
        pairs_per_second=counters["pairs_scored"] / seconds,
        files=files.describe(files.join(plan.partition, "*.parquet")),
    )
    report.write(plan.partition)
    return report


def score_pipeline(plan: Plan, options: PipelineOptions) -> beam.Pipeline:
    """Users in, recommendations out."""
    pipeline = beam.Pipeline(options=options)
    _ = (
        pipeline
        | "List users files" >> beam.Create(plan.users_files)
        | "Read users" >> ReadAllFromParquetBatched(columns=USERS.names, desired_bundle_size=BYTES_A_BUNDLE)
        | "Rank candidates" >> RankCandidates(plan)
        | "Write recommendations"
        >> WriteToParquetBatched(
            files.join(plan.partition, f"part-{plan.run_id}"),
            RECOMMENDATIONS,
            codec="snappy",
            file_name_suffix=".parquet",
        )
    )
    return pipeline


def main(argv: Sequence[str]) -> None:
    """Check everything, score out of sight, audit, publish."""
    args, options = launch.parse(build_parser(), argv)
    plan = check(args, options)
    report = stage(plan, options)
    if not args.stage_only:
        audit.audit(plan.staged, options)
        published = publish.publish(plan.staged, args.output)
    print(render(report.counters))
    print(f"  {report.pairs_per_second / 1e6:.2f} million pairs a second, {report.seconds['score']:.1f} s")
    print(f"staged, not audited and not published: {plan.staged}" if args.stage_only else f"published: {published}")


if __name__ == "__main__":
    run(main)
