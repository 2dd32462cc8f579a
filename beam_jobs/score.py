r"""Score every user against every candidate and publish each user's best.

    nightrank score --model runs/local/model --users 'runs/local/users/*.parquet' \
        --candidates 'runs/local/candidates/*.parquet' --output runs/local --top_n 20

One pipeline does the night's work: it scores where no reader looks, audits what it wrote and publishes it. So nobody
needs to wait for it: on a cluster, the machine that submitted it may go away.
"""

from __future__ import annotations

import argparse
import logging
import uuid
from collections.abc import Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.auditing.tasks import task_of
from beam_jobs.auditing.transforms import AUDITING, FindViolations
from beam_jobs.io import parquet_files, storage
from beam_jobs.io.footer import Footer, read_footers
from beam_jobs.io.schemas import USERS, USERS_WITH_VECTORS
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.counters import as_table
from beam_jobs.pipeline.options import add_no_wait, add_run_date, parse_flags
from beam_jobs.pipeline.parallelism import threads_a_process
from beam_jobs.pipeline.progress import Phase, in_finished_files
from beam_jobs.pipeline.run_date import parse_run_date
from beam_jobs.publishing.transforms import FinishRun
from beam_jobs.run import RunReport, RunSpec, Selection
from beam_jobs.scoring.candidates import read_candidates, read_titles
from beam_jobs.scoring.exported_model import ExportedModel, check_model
from beam_jobs.scoring.parts import plan_parts
from beam_jobs.scoring.plan import Plan
from beam_jobs.scoring.transforms import SCORING, RankCandidates
from beam_jobs.users.user_vectors import users_schema
from model.cli import FlagParser, InputError, RunError, about, run
from model.contract import VECTOR_SIGNATURES

_LOG = logging.getLogger(__name__)


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank score",
        description="Score every user against every candidate and publish each user's best.",
        example=(
            "nightrank score --model runs/local/model --users 'runs/local/users/*.parquet' \\\n"
            "      --candidates 'runs/local/candidates/*.parquet' --output runs/local"
        ),
        passes_on="Beam",
    )
    parser.add_argument("--model", required=True, help="folder of the exported model, local or gs://")
    parser.add_argument("--users", required=True, help="glob of the users table's Parquet files")
    parser.add_argument("--candidates", required=True, help="glob of the candidates table's Parquet files")
    parser.add_argument("--output", required=True, help="folder that gets recommendations/run_date=YYYY-MM-DD")
    parser.add_argument("--top_n", type=int, default=20, help="recommendations for each user, at least 1")
    add_run_date(parser)
    parser.add_argument(
        "--exclude_seen", action="store_true", default=True, help="leave out titles that the user has seen (default)"
    )
    parser.add_argument("--no_exclude_seen", dest="exclude_seen", action="store_false", help="recommend them too")
    parser.add_argument("--exclude_titles", metavar="FILE", help="text file of titles never to recommend, one a line")
    parser.add_argument("--min_score", type=float, help="leave out recommendations that score less")
    parser.add_argument("--allow_unblessed", action="store_true", help="take a model that the gate did not pass")
    parser.add_argument("--stage_only", action="store_true", help="stop before the audit; nothing becomes visible")
    add_no_wait(parser)
    return parser


def main(argv: Sequence[str]) -> None:
    """Check everything, then score, audit and publish, and say what came out."""
    args, options = parse_flags(build_parser(), argv)
    plan = plan_run(args, options)
    report = score(plan, options, wait=not args.no_wait)
    if report is None:
        print(f"submitted; when it is done: {plan.destination}")
        return
    print(as_table(report.counters))
    print(f"  {report.pairs_per_second / 1e6:.2f} million pairs a second, {report.seconds['score']:.1f} s")
    if plan.stage_only:
        print(f"staged, not audited and not published: {plan.staged.folder}")
    else:
        print(f"published: {plan.destination}")


def score(plan: Plan, options: PipelineOptions, wait: bool = True) -> RunReport | None:
    """Score into the staging folder, audit what is there and publish it.

    Returns:
      The report; None where the pipeline was submitted and not waited for.

    Raises:
      InputError: the users table has a user twice.
      RunError: the pipeline failed or the audit found something. What was written is deleted.
    """
    parquet_files.write_table(plan.candidates.table, plan.staged.candidates_file)
    try:
        if execution.run(score_pipeline(plan, options), wait, plan.spec.run_id, phases(plan)) is None:
            return None
    except BaseException:
        storage.delete_staged(plan.staged.folder)
        raise
    try:
        return RunReport.read(plan.destination)
    except InputError as error:
        raise RunError(f"the job ended well but left no report ({error}); look at its log") from None


def phases(plan: Plan) -> list[Phase]:
    """What the run does, for whoever watches it."""
    spec = plan.spec
    files = {part.file_name(spec.run_id): part.users for part in plan.parts}
    finished = in_finished_files(storage.join(plan.staged.rows_folder(spec.run_date), "*.parquet"), files)
    starting = Phase("starting")  # Workers load the model, which takes seconds.
    scoring = Phase(SCORING, spec.user_count, "users", (spec.candidate_count, "pairs"), finished)
    if plan.stage_only:
        return [starting, scoring]
    return [starting, scoring, Phase(AUDITING, spec.user_count, "users"), Phase("publishing")]


def score_pipeline(plan: Plan, options: PipelineOptions) -> beam.Pipeline:
    """Users in; recommendations out, audited and published."""
    spec, staged = plan.spec, plan.staged
    pipeline = beam.Pipeline(options=options)
    scored = (
        pipeline
        | "List parts of users" >> beam.Create(plan.parts)
        | "Spread over workers" >> beam.Reshuffle()
        | "Rank candidates" >> RankCandidates(spec, staged, plan.model, plan.users_schema, plan.threads)
    )
    findings = None
    if not plan.stage_only:
        findings = (
            scored
            | "Find rows" >> beam.Map(task_of, staged.rows_folder(spec.run_date))
            | "Find violations" >> FindViolations(spec, staged.candidates_file, spec.user_count, plan.threads)
        )
    _ = scored | "Finish" >> FinishRun(spec, staged, plan.candidates.counters, plan.output, findings)
    return pipeline


def check_flags(args: argparse.Namespace) -> None:
    """Find what is wrong with the flags without looking at the model or the tables. Raises InputError."""
    _select(args)
    parse_run_date(args.run_date)
    _read_excluded(args)


def plan_run(args: argparse.Namespace, options: PipelineOptions) -> Plan:
    """Check everything that can be checked before work begins.

    Raises:
      InputError: a flag, or a file that it names, cannot be used.
    """
    selection = _select(args)
    run_date = parse_run_date(args.run_date)
    users = _read_users(args.users)
    excluded = _read_excluded(args)
    with about("--candidates"):
        candidates = read_candidates(args.candidates, excluded)
    with about("--output"):
        storage.check_writable(args.output)
    with about("--model"):
        model = check_model(args.model)
    _check_blessed(model, args)
    schema = _choose_schema(users, model, args)
    parts = plan_parts(users, candidates.table.num_rows, selection.top_n)
    run_id = uuid.uuid4().hex[:8]
    spec = RunSpec(
        run_id=run_id,
        run_date=run_date,
        model_version=model.description["model_version"],
        model_kind=model.description["model_kind"],
        score_kind=model.description["score_kind"],
        selection=selection,
        users_glob=args.users,
        user_count=sum(footer.rows for footer in users),
        candidate_count=candidates.table.num_rows,
        files=tuple(part.planned_file(run_id) for part in parts),
    )
    return Plan(spec, args.model, candidates, parts, schema, args.output, threads_a_process(options), args.stage_only)


def _read_excluded(args: argparse.Namespace) -> list[str]:
    with about("--exclude_titles"):
        return read_titles(args.exclude_titles) if args.exclude_titles else []


def _select(args: argparse.Namespace) -> Selection:
    try:
        return Selection(args.top_n, args.exclude_seen, args.min_score)
    except InputError as error:
        # The message begins with the name of the field, which is that of the flag.
        raise InputError(f"--{error}") from None


def _read_users(pattern: str) -> list[Footer]:
    with about("--users"):
        users = read_footers(storage.match(pattern))
        for footer in users:
            footer.check_columns(USERS)
        if not any(footer.rows for footer in users):
            raise InputError(f"{pattern}: no users in it; give at least one")
    return users


def _check_blessed(model: ExportedModel, args: argparse.Namespace) -> None:
    """Raises InputError for a model that the gate of `nightrank train` did not pass, unless that is allowed."""
    verdict = model.description.get("blessed", {"blessed": False, "why": ["No gate has judged it."]})
    if not verdict["blessed"]:
        version, why = model.description["model_version"], " ".join(verdict["why"])
        if not args.allow_unblessed:
            raise InputError(
                f"--model {args.model}: {version} is not blessed: {why} Train another, or add --allow_unblessed"
            )
        _LOG.warning("%s is used although it is not blessed: %s", version, why)


def _choose_schema(users: Sequence[Footer], model: ExportedModel, args: argparse.Namespace) -> pa.Schema:
    """The schema of the users table, by whether users come with their vectors."""
    with about("--users"):
        schema = users_schema(users, args.model, model.description["model_version"], model.needs_vectors)
    if schema is USERS_WITH_VECTORS:
        with about("--model"):
            model.check_signatures(VECTOR_SIGNATURES, args.model)
    return schema


if __name__ == "__main__":
    run(main)
