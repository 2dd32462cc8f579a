r"""Score every user against every candidate and publish each user's best.

    python -m beam_jobs.score --model runs/local/model --users 'runs/local/users/*.parquet' \
        --candidates 'runs/local/candidates/*.parquet' --output runs/local --top_n 20

One pipeline does the night's work: it scores out of readers' sight, audits what lies there and publishes it. So it
needs nobody to wait for it: on a cluster the machine that submitted it may go away.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import audit, files, launch, publish, tables
from beam_jobs.candidates import CandidateList, read_candidates
from beam_jobs.parts import Part, divide
from beam_jobs.progress import Progress
from beam_jobs.ranker import open_ranker
from beam_jobs.recommendations import Candidates, Selection, recommend
from beam_jobs.run_report import RunReport, candidates_file, render
from beam_jobs.schema import CANDIDATES, RECOMMENDATIONS, USERS
from model.cli import FlagParser, InputError, RunError, run
from model.contract import MOVIE_TITLE

_LOG = logging.getLogger(__name__)

PAIRS_A_CALL = 8_000_000
"""Pairs scored by one call of the model: a second or two of work, so progress shows and a retry costs little."""
FEWEST_USERS_A_CALL = 64
"""A call computes the candidates' half of the first layer anew, which costs as much as scoring half a user."""

Scored = dict[str, Any]
"""What became of a part: its `file`, as `beam_jobs.tables.describe` has it; `counts` by name; `began` and `ended`, in
seconds since 1970. Counts travel with the rows because Beam's counters may count a part twice that ran twice."""


@dataclass(frozen=True)
class Plan:
    """A run that has been checked: all that scoring needs to know, and nothing has been written yet."""

    report: RunReport
    """As far as it is known beforehand."""
    model: str
    candidates: CandidateList
    users_files: Sequence[str]
    parts: Sequence[Part]
    selection: Selection
    output: str
    threads: int | None
    """Cores that one process may use; None for all that it finds."""
    stage_only: bool

    @property
    def staged(self) -> str:
        """The folder that everything is written to first, where no reader looks."""
        return files.join(self.output, "_staging", f"{self.report.run_date}-{self.report.run_id}")


@dataclass  # not frozen: Beam sets a label on it
class RankCandidates(beam.PTransform):
    """Parts of the users table to files of recommendations: each user's best candidates. Nothing is shuffled.

    A part that runs twice, after a failure or beside itself, writes the same file twice.
    """

    plan: Plan

    def expand(self, parts: beam.PCollection[Part]) -> beam.PCollection[Scored]:
        """A `Scored` for each part; the files are of `beam_jobs.schema.RECOMMENDATIONS`."""
        return parts | beam.ParDo(_RankPart(self.plan)).with_output_types(Scored)


class _RankPart(beam.DoFn):
    def __init__(self, plan: Plan) -> None:
        self._model, self._threads, self._selection = plan.model, plan.threads, plan.selection
        self._staged, self._report = plan.staged, plan.report

    def setup(self) -> None:
        self._ranker = open_ranker(self._model, self._threads, self._report.model_version)
        table = tables.read_table(candidates_file(self._staged), CANDIDATES, "--candidates")
        self._candidates = Candidates(table[MOVIE_TITLE].combine_chunks(), self._ranker)
        self._users_a_call = max(FEWEST_USERS_A_CALL, PAIRS_A_CALL // len(self._candidates))
        self._progress = Progress(self._report.counters["users_read"])
        self._milliseconds = Metrics.distribution(launch.NAMESPACE, "recommend_call-msec")

    def process(self, part: Part) -> Iterator[Scored]:
        began, counts = time.time(), dict[str, int]()
        path = files.join(partition_of(self._staged, self._report), part.file_name(self._report.run_id))
        file = tables.write_tables(
            self._recommendations(part, counts), RECOMMENDATIONS, path, files.join(self._staged, "attempts")
        )
        launch.count(counts)
        yield {"file": file, "counts": counts, "began": began, "ended": time.time()}

    def _recommendations(self, part: Part, counts: dict[str, int]) -> Iterator[pa.Table]:
        """A block of users at a time; adds to `counts`."""
        for users in tables.read_batches(part.users_file, USERS, part.row_groups, self._users_a_call, "--users"):
            began = time.monotonic()
            rows, more = recommend(users, self._ranker, self._candidates, self._selection)
            self._milliseconds.update(int(1_000 * (time.monotonic() - began)))
            self._progress.add(more["users_scored"], more["pairs_scored"])
            launch.add_counts(counts, more)
            yield rows


@dataclass  # not frozen: Beam sets a label on it
class Conclude(beam.PTransform):
    """Write the run's report; where the rows were audited, publish them."""

    plan: Plan

    def expand(
        self, outcome: tuple[beam.PCollection[Scored], beam.PCollection[audit.Findings] | None]
    ) -> beam.PCollection[None]:
        """What became of all parts, and what the audit found; nothing but files comes out."""
        scored, findings = outcome
        once = scored.pipeline | "Once" >> beam.Create([None])
        place = (self.plan.report, self.plan.staged)
        if findings is None:
            return once | "Report" >> beam.Map(_report, *place, beam.pvalue.AsList(scored))
        return once | "Report and publish" >> beam.Map(
            _publish, *place, beam.pvalue.AsList(scored), beam.pvalue.AsSingleton(findings), self.plan.output
        )


def partition_of(staged: str, report: RunReport) -> str:
    """The folder of the rows, in `staged`."""
    return files.join(staged, f"run_date={report.run_date}")


def _report(_: None, report: RunReport, staged: str, scored: Sequence[Scored]) -> RunReport:
    """Complete the report by what became of the parts, and write it."""
    counters = {name: count for name, count in report.counters.items() if name.startswith("candidates")}
    counts: dict[str, int] = {}
    for part in scored:
        launch.add_counts(counts, part["counts"])
    ended = max(part["ended"] for part in scored)
    seconds = ended - min(part["began"] for part in scored)
    complete = replace(
        report,
        counters=counts | counters,
        seconds={"score": seconds, "audit": time.time() - ended},
        pairs_per_second=counts["pairs_scored"] / max(seconds, 1e-3),
        files=tuple(sorted((part["file"] for part in scored), key=lambda file: file["name"])),
    )
    complete.write(partition_of(staged, report))
    return complete


def _publish(
    _: None, report: RunReport, staged: str, scored: Sequence[Scored], findings: audit.Findings, output: str
) -> None:
    """Report, hold the audit's findings against it, and publish. Done once already, it does nothing."""
    if publish.is_published(report, output):
        return
    complete = _report(None, report, staged, scored)
    audit.conclude(staged, complete, audit.describe_rows(staged, partition_of(staged, report)), findings)
    publish.publish(staged, output)


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
    parser.add_argument("--allow_unblessed", action="store_true", help="take a model that the gate did not pass")
    parser.add_argument("--stage_only", action="store_true", help="stop before the audit; nothing becomes visible")
    launch.add_no_wait(parser)
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
    for path in users_files:
        tables.check_schema(path, USERS, "--users")
    candidates = read_candidates(args.candidates, args.exclude_titles)
    parts = divide(users_files, candidates.table.num_rows, args.top_n)
    if not parts:
        raise InputError(f"--users {args.users}: no users in it; give at least one")
    files.check_writable(args.output, "--output")
    threads = launch.threads_a_process(options)
    description = open_ranker(args.model, threads).description
    _check_blessed(description, args)
    report = RunReport(
        run_id=uuid.uuid4().hex[:8],
        run_date=run_date,
        model_version=description["model_version"],
        model_kind=description["model_kind"],
        score_kind=description["score_kind"],
        top_n=args.top_n,
        exclude_seen=args.exclude_seen,
        min_score=args.min_score,
        users=args.users,
        candidates=candidates.table.num_rows,
        counters={"users_read": sum(part.users for part in parts), **candidates.counts},
        seconds={},
        pairs_per_second=0.0,
        files=(),
    )
    return Plan(
        report=report,
        model=args.model,
        candidates=candidates,
        users_files=users_files,
        parts=parts,
        selection=Selection(args.top_n, args.exclude_seen, args.min_score),
        output=args.output,
        threads=threads,
        stage_only=args.stage_only,
    )


def _check_blessed(description: Mapping[str, Any], args: argparse.Namespace) -> None:
    """Raises InputError for a model that the gate of `model.train` did not pass, unless that is allowed."""
    verdict = description.get("blessed", {"blessed": False, "why": ["No gate has judged it."]})
    if not verdict["blessed"]:
        version, why = description["model_version"], " ".join(verdict["why"])
        if not args.allow_unblessed:
            raise InputError(
                f"--model {args.model}: {version} is not blessed: {why} Train another, or say --allow_unblessed"
            )
        _LOG.warning("%s is not blessed and used all the same: %s", version, why)


def score(plan: Plan, options: PipelineOptions, wait: bool = True) -> RunReport | None:
    """Score into `plan.staged`: `run_date=D/part-*.parquet` and `run_date=D/_run.json`; audit and publish these.

    Returns:
      The report; None where the pipeline was submitted and not waited for.

    Raises:
      InputError: the users table has a user twice.
      RunError: the pipeline failed or the audit found something; what was written is deleted.
    """
    tables.write_table(plan.candidates.table, candidates_file(plan.staged))
    try:
        if launch.run(score_pipeline(plan, options), wait) is None:
            return None
    except BaseException:
        files.delete_staged(plan.staged)
        raise
    try:
        return RunReport.read(_destination(plan), "--output")
    except InputError as error:
        raise RunError(f"the job ended well but left no report ({error}); look at its log") from None


def score_pipeline(plan: Plan, options: PipelineOptions) -> beam.Pipeline:
    """Users in; recommendations out, audited and published."""
    pipeline = beam.Pipeline(options=options)
    scored = (
        pipeline
        | "List parts of users" >> beam.Create(plan.parts)
        | "Spread over workers" >> beam.Reshuffle()
        | "Rank candidates" >> RankCandidates(plan)
    )
    findings = None
    if not plan.stage_only:
        rows = scored | "Find rows" >> beam.Map(_rows_file, partition_of(plan.staged, plan.report))
        findings = audit.find_violations(pipeline, plan.report, plan.staged, plan.users_files, rows)
    _ = (scored, findings) | "Conclude" >> Conclude(plan)
    return pipeline


def main(argv: Sequence[str]) -> None:
    """Check everything, then score, audit and publish, and say what came out."""
    args, options = launch.parse(build_parser(), argv)
    plan = check(args, options)
    report = score(plan, options, wait=not args.no_wait)
    if report is None:
        print(f"submitted; when it is done: {_destination(plan)}")
        return
    print(render(report.counters))
    print(f"  {report.pairs_per_second / 1e6:.2f} million pairs a second, {report.seconds['score']:.1f} s")
    what = "staged, not audited and not published" if plan.stage_only else "published"
    print(f"{what}: {plan.staged if plan.stage_only else _destination(plan)}")


def _destination(plan: Plan) -> str:
    """The folder that the run's rows are in when it is done."""
    if plan.stage_only:
        return partition_of(plan.staged, plan.report)
    return publish.partition_of(plan.output, plan.report.run_date)


def _rows_file(scored: Scored, partition: str) -> str:
    return files.join(partition, scored["file"]["name"])


if __name__ == "__main__":
    run(main)
