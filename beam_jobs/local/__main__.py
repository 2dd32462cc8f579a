"""The whole flow on this machine: train, prepare, score, publish, show. `./run_local.sh` sets up and runs this.

    ./run_local.sh --dataset movielens/100k-ratings --top_n 10

Each stage is a process, so that none holds the memory of another, and each can be run by itself. Flags of all stages
are checked before the first one starts.
"""

from __future__ import annotations

import importlib
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack

from beam_jobs import prepare, score
from beam_jobs.io import storage
from beam_jobs.local.engine import engine
from beam_jobs.local.stages import Stage, route
from beam_jobs.pipeline.options import parse_flags
from beam_jobs.pipeline.run_date import today
from model.cli import FlagParser, InputError, Interrupted, about, run

ENGINES = ("flink", "prism")
TRAIN = "model.train"
"""Imported by name: training is no part of the jobs, and no worker has what it needs."""
DEFAULT_MODEL = "relevance"
GRACE_SECONDS = 30.0
"""For a stage that is told to end."""


def build_parser() -> FlagParser:
    """The flags of the flow itself; any other goes to the stages that know it."""
    parser = FlagParser(
        prog="./run_local.sh",
        description="The whole flow on this machine: train, prepare, score, publish, show.",
        example="./run_local.sh --dataset ratings.csv --columns user_id=uid,movie_title=film",
        passes_on="the stages that know it (nightrank train, prepare, score), and else to Beam",
    )
    parser.add_argument(
        "--work_dir", default="runs/local", help="folder that gets model/, users/, candidates/ and recommendations/"
    )
    parser.add_argument("--model", default=DEFAULT_MODEL, help="relevance, rating, basic or tuned")
    parser.add_argument(
        "--runner", help="flink or prism: start that engine, prepare and score on it, stop it; else Beam's runner"
    )
    return parser


def plan(argv: Sequence[str]) -> tuple[list[Stage], str | None]:
    """The stages in order, their flags checked, and the engine that prepare and score run on, if any.

    Raises:
      InputError: a flag of any stage is wrong, or the folder cannot be written.
    """
    args, further = build_parser().parse_known_args(argv)
    if not args.work_dir.strip():
        raise InputError("--work_dir is empty; name a folder")
    train = importlib.import_module(TRAIN)
    parsers = {"train": train.build_parser(), "prepare": prepare.build_parser(), "score": score.build_parser()}
    routed = route(further, parsers, last="score")
    on_engine = args.runner if args.runner in ENGINES else None
    if args.runner and not on_engine:
        routed["score"].append(f"--runner={args.runner}")

    model, users, candidates = (storage.join(args.work_dir, table) for table in ("model", "users", "candidates"))
    train_flags = [*routed["train"], f"--model={args.model}", "--refit", f"--model_dir={model}"]
    train_args = parsers["train"].parse_args(train_flags)
    train.check_flags(train_args)

    prepare_flags = [*routed["prepare"], f"--output={args.work_dir}"]
    if train_args.user_vectors == "apart":
        prepare_flags.append(f"--with_vectors={model}")
    parse_flags(parsers["prepare"], prepare_flags)

    tables = [f"--users={users}/*.parquet", f"--candidates={candidates}/*.parquet", f"--output={args.work_dir}"]
    score_flags = [f"--model={model}", *tables, *routed["score"]]
    # The gate holds lists against a list of hits. Models of ratings do not pass, and whoever names one wants it.
    if args.model != DEFAULT_MODEL:
        score_flags.append("--allow_unblessed")
    score_args, _ = parse_flags(parsers["score"], score_flags)
    score.check_flags(score_args)
    # A run that goes on past midnight stays one run.
    run_date = score_args.run_date or today()
    if not score_args.run_date:
        score_flags.append(f"--run_date={run_date}")
    with about("--work_dir"):
        storage.check_writable(args.work_dir)

    stages = [
        Stage("train", "train", tuple(train_flags)),
        Stage("prepare users and candidates", "prepare", tuple(prepare_flags), is_pipeline=True),
        Stage("score every user x candidate", "score", tuple(score_flags), is_pipeline=True),
    ]
    if not score_args.stage_only:
        stages.append(Stage("result", "summary", (f"--work_dir={args.work_dir}", f"--run_date={run_date}")))
    return stages, on_engine


def main(argv: Sequence[str]) -> None:
    """Check everything, then run the stages, one after the other.

    Raises:
      SystemExit: a stage failed, and has said why; with its exit status.
    """
    started = time.monotonic()
    stages, on_engine = plan(argv)
    if on_engine:
        _head(f"start {on_engine}", started)
    with ExitStack() as stack:
        flags = stack.enter_context(engine(on_engine)) if on_engine else []
        for stage in stages:
            _head(stage.heading, started)
            _run(stage.on(flags) if stage.is_pipeline else stage)


def _run(stage: Stage) -> None:
    """Raises SystemExit unless the stage ends well."""
    process = subprocess.Popen([sys.executable, "-m", "beam_jobs", stage.command, *stage.flags])
    try:
        status = process.wait()
    except KeyboardInterrupt as interrupt:
        # A terminal sends Ctrl-C to the stage too. The stage deletes what it staged, and says what ended it.
        number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
        if number == signal.SIGTERM:
            process.terminate()
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise SystemExit(128 + number) from None
    if status:
        raise SystemExit(status if status > 0 else 128 - status)


def _head(text: str, started: float) -> None:
    print(f"\n== {text} ({time.monotonic() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    run(main)
