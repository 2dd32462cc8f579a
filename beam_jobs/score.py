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
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import audit, publish
from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import USERS, USERS_WITH_VECTORS
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import add_no_wait, add_run_date, parse_flags
from beam_jobs.pipeline.parallelism import threads_a_process
from beam_jobs.pipeline.run_date import parse_run_date
from beam_jobs.publishing.run_report import RunReport, candidates_file, render
from beam_jobs.scoring.candidates import read_candidates
from beam_jobs.scoring.exported_model import ExportedModel, check_model
from beam_jobs.scoring.parts import divide
from beam_jobs.scoring.recommendations import Selection
from beam_jobs.scoring.transforms import Conclude, Plan, RankCandidates, pair_of, partition_of
from beam_jobs.users.user_vectors import check_version
from model.cli import FlagParser, InputError, RunError, about, run
from model.contract import USER_VECTOR, VECTOR_SIGNATURES

_LOG = logging.getLogger(__name__)


def build_parser() -> FlagParser:
    """The flags of this command; what it does not know goes to Beam."""
    parser = FlagParser(prog="python -m beam_jobs.score", description="Score every user x candidate, publish top-N.")
    parser.add_argument("--model", required=True, help="folder of the exported model, local or gs://")
    parser.add_argument("--users", required=True, help="glob of the users table's Parquet files")
    parser.add_argument("--candidates", required=True, help="glob of the candidates table's Parquet files")
    parser.add_argument("--output", required=True, help="folder that gets recommendations/run_date=YYYY-MM-DD")
    parser.add_argument("--top_n", type=int, default=20, help="recommendations a user, at least 1")
    add_run_date(parser)
    parser.add_argument(
        "--exclude_seen", action="store_true", default=True, help="leave out the titles that a user has seen"
    )
    parser.add_argument("--no_exclude_seen", dest="exclude_seen", action="store_false", help="recommend them too")
    parser.add_argument("--exclude_titles", metavar="FILE", help="text file of titles never to recommend, one a line")
    parser.add_argument("--min_score", type=float, help="leave out recommendations that score less")
    parser.add_argument("--allow_unblessed", action="store_true", help="take a model that the gate did not pass")
    parser.add_argument("--stage_only", action="store_true", help="stop before the audit; nothing becomes visible")
    add_no_wait(parser)
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
    run_date = parse_run_date(args.run_date)
    users_files = storage.match(args.users, "--users")
    for path in users_files:
        parquet_files.check_schema(path, USERS, "--users")
    candidates = read_candidates(args.candidates, args.exclude_titles)
    parts = divide(users_files, candidates.table.num_rows, args.top_n)
    if not parts:
        raise InputError(f"--users {args.users}: no users in it; give at least one")
    storage.check_writable(args.output, "--output")
    with about("--model"):
        model = check_model(args.model)
    description = model.description
    _check_blessed(description, args)
    with_vectors = _check_vectors(users_files, model, args.model)
    run_id = uuid.uuid4().hex[:8]
    report = RunReport(
        run_id=run_id,
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
        parts=tuple(part.described(run_id) for part in parts),
    )
    return Plan(
        report=report,
        model=args.model,
        candidates=candidates,
        parts=parts,
        with_vectors=with_vectors,
        selection=Selection(args.top_n, args.exclude_seen, args.min_score),
        output=args.output,
        threads=threads_a_process(options),
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


def _check_vectors(users_files: Sequence[str], model: ExportedModel, folder: str) -> bool:
    """Whether users come with their vectors.

    Raises:
      InputError: some do and some do not, or their vectors are of another model, or the model needs them.
    """
    without = [path for path in users_files if USER_VECTOR not in parquet_files.read_footer(path, "--users")[0].names]
    if without and (model.needs_vectors or len(without) < len(users_files)):
        needing = "other files have" if len(without) < len(users_files) else f"the model in {folder} needs"
        raise InputError(
            f"--users {without[0]}: has no column {USER_VECTOR!r}, which {needing}; "
            f"write it with `python -m beam_jobs.prepare --with_vectors {folder}`"
        )
    if without:
        return False
    for path in users_files:
        parquet_files.check_schema(path, USERS_WITH_VECTORS, "--users")
        check_version(path, model.description["model_version"], "--users")
    with about("--model"):
        model.check_signatures(VECTOR_SIGNATURES, folder)
    return True


def score(plan: Plan, options: PipelineOptions, wait: bool = True) -> RunReport | None:
    """Score into `plan.staged`: `run_date=D/part-*.parquet` and `run_date=D/_run.json`; audit and publish these.

    Returns:
      The report; None where the pipeline was submitted and not waited for.

    Raises:
      InputError: the users table has a user twice.
      RunError: the pipeline failed or the audit found something; what was written is deleted.
    """
    parquet_files.write_table(plan.candidates.table, candidates_file(plan.staged))
    try:
        if execution.run(score_pipeline(plan, options), wait) is None:
            return None
    except BaseException:
        storage.delete_staged(plan.staged)
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
        pairs = scored | "Find rows" >> beam.Map(pair_of, partition_of(plan.staged, plan.report))
        findings = audit.find_violations(plan.report, plan.staged, pairs, plan.threads)
    _ = scored | "Conclude" >> Conclude(plan, findings)
    return pipeline


def main(argv: Sequence[str]) -> None:
    """Check everything, then score, audit and publish, and say what came out."""
    args, options = parse_flags(build_parser(), argv)
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


if __name__ == "__main__":
    run(main)
