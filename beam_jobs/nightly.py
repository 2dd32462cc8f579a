"""The whole nightly run on Dataflow: prepare where a dataset is given, then score, which audits and publishes.

    ./run_dataflow.sh --project my-project-1 --region us-central1 --model gs://BUCKET/model \
        --users 'gs://BUCKET/users/*.parquet' --candidates 'gs://BUCKET/candidates/*.parquet' --output gs://BUCKET

Whatever can be found wrong before a job is submitted is found before anything is staged. Both jobs publish what they
make by themselves, so this command may end, or be ended, once the second is submitted.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import shlex
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import prepare, score
from beam_jobs.dataflow import cloud_flags, flex_template, machines, package, preflight, preview
from beam_jobs.io import storage
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import add_no_wait, add_run_date, parse_flags
from beam_jobs.pipeline.run_date import parse_run_date
from beam_jobs.scoring.exported_model import check_model
from model.cli import FlagParser, InputError, run
from model.contract import USER_VECTORS_FOLDER

TEMPLATE = Path(__file__).parent / "dataflow" / "score_template.json"
"""What the Flex template takes."""


@dataclass(frozen=True)
class Job:
    """One job of the night."""

    module: ModuleType
    flags: Sequence[str]
    """`--name=value` or `--name` each, its own and Beam's."""

    def parse(self) -> tuple[argparse.Namespace, PipelineOptions]:
        """As the job itself parses them. Raises InputError."""
        return parse_flags(self.module.build_parser(), self.flags)

    def __str__(self) -> str:
        lines = [f"python -m {self.module.__name__}", *map(shlex.quote, self.flags)]
        return " \\\n    ".join(lines)


def build_parser() -> FlagParser:
    """The flags of this command; any other goes to the jobs, and what these do not know to Beam."""
    parser = FlagParser(prog="./run_dataflow.sh", description="The nightly run on Dataflow.")
    parser.add_argument("--model", required=True, help="folder of the exported model, gs://")
    parser.add_argument("--dataset", help="interactions to prepare users and candidates from; as beam_jobs.prepare")
    parser.add_argument("--columns", metavar="A=B,..", help="names of the dataset's columns where they differ")
    parser.add_argument("--tfds_data_dir", metavar="DIR", help="where TensorFlow Datasets prepared its datasets")
    parser.add_argument("--users", help="glob of the users table's Parquet files, instead of --dataset")
    parser.add_argument("--candidates", help="glob of the candidates table's Parquet files, instead of --dataset")
    parser.add_argument("--output", required=True, help="gs:// folder that gets recommendations/run_date=YYYY-MM-DD")
    parser.add_argument("--top_n", type=int, default=20, help="recommendations a user, at least 1")
    add_run_date(parser)
    cloud_flags.add_flags(parser)
    parser.add_argument("--setup_file", help="setup.py of the package that workers install; that of this checkout")
    parser.add_argument("--flex_template", metavar="GS_PATH", help="score by this Flex template")
    parser.add_argument("--dry_run", action="store_true", help="check, and show what would be submitted; write nothing")
    add_no_wait(parser)
    return parser


def plan(args: argparse.Namespace, further: Sequence[str]) -> list[Job]:
    """The jobs of the night, in order, with all that can be known without a network.

    Raises:
      InputError: a flag has a wrong value, or two contradict each other.
    """
    machine = cloud_flags.check(args)
    _check_inputs(args)
    run_date = parse_run_date(args.run_date)
    cloud = ["--runner=DataflowRunner", *cloud_flags.to_beam(args, machine)]
    if _packages_travel(args):
        cloud.append(f"--setup_file={args.setup_file or package.SETUP_FILE}")
    if importlib.util.find_spec("pip") is None:
        # Beam would ask pip which packages are installed here, to keep the list beside the job.
        cloud.append("--experiments=disable_logging_submission_environment")
    suffix = f"{run_date.replace('-', '')}-{uuid.uuid4().hex[:6]}"
    users, candidates = args.users, args.candidates
    _, beams = score.build_parser().parse_known_args(_required(score.build_parser()) + list(further))
    jobs = []
    if args.dataset:
        users, candidates = (storage.join(args.output, table, "*.parquet") for table in prepare.TABLES)
        own = {name: getattr(args, name) for name in ("dataset", "columns", "tfds_data_dir", "output")}
        threads = machines.divide(machine, 0).flags()
        jobs.append(Job(prepare, [*_flags(own), *cloud, f"--job_name=nightrank-prepare-{suffix}", *threads, *beams]))
    own = {"model": args.model, "users": users, "candidates": candidates, "output": args.output}
    flags = [*_flags(own | {"top_n": args.top_n, "run_date": run_date}), *cloud, f"--job_name=nightrank-score-{suffix}"]
    flags += [f"--dataflow_service_options={cloud_flags.accelerator(args.gpu)}"] if args.gpu else []
    return [*jobs, Job(score, [*flags, *(["--no_wait"] if args.no_wait else []), *further])]


def check(args: argparse.Namespace, jobs: Sequence[Job]) -> list[Job]:
    """Look at buckets, model and package.

    Returns:
      The jobs, that of the model with processes and threads for its size.

    Raises:
      InputError: something is missing or wrong.
    """
    _, options = jobs[-1].parse()
    for flag in ("output", "staging_location", "temp_location"):
        path = args.output if flag == "output" else options.get_all_options()[flag]
        preflight.check_bucket(path, f"--{flag}", options, args.region)
        if not args.dry_run:
            storage.check_writable(path, f"--{flag}")
    size = storage.size_below(args.model, "--model", left_out=USER_VECTORS_FOLDER)
    sizing = machines.divide(cloud_flags.check(args), size, bool(args.gpu))
    print(f"workers   {sizing}", flush=True)
    # Else score's own check, which is before anything is staged too, opens the model and the tables.
    if args.dataset or args.flex_template or args.dry_run:
        if check_model(args.model).needs_vectors:
            jobs = [*(replace(job, flags=[f"--with_vectors={args.model}", *job.flags]) for job in jobs[:-1]), jobs[-1]]
        for flag in ("users", "candidates"):
            if pattern := getattr(args, flag):
                storage.match(pattern, f"--{flag}")
    if _packages_travel(args):
        print(f"package   {package.check(args.setup_file or str(package.SETUP_FILE))}", flush=True)
    if args.no_use_public_ips and _packages_travel(args):
        print(
            "note: workers install TensorFlow when they start, and without public addresses reach the package index "
            "only by Cloud NAT; --sdk_container_image needs neither",
            file=sys.stderr,
        )
    last = jobs[-1]
    # Before what was given on the command line, so that the latter holds.
    return [*jobs[:-1], replace(last, flags=[*sizing.flags(), *last.flags])]


def submit(args: argparse.Namespace, jobs: Sequence[Job], further: Sequence[str]) -> None:
    """Run the jobs, one after the other; the second reads what the first wrote.

    Raises:
      InputError: what a job reads is not usable.
      RunError: a job failed.
    """
    # Beam's waiting speaks through logging; these are the only lines by which a long job shows that it lives.
    logging.getLogger("apache_beam.runners.dataflow.dataflow_runner").setLevel(logging.INFO)
    for job in jobs:
        if args.flex_template:
            _, options = job.parse()
            start = partial(flex_template.launch, _template_request(args, job, further), options)
            execution.follow(start, options, wait=not args.no_wait)
        else:
            job.module.main(job.flags)


def show(args: argparse.Namespace, jobs: Sequence[Job], further: Sequence[str]) -> None:
    """Print what would be submitted."""
    for job in jobs:
        job_args, options = job.parse()
        if args.flex_template:
            print("request  ", json.dumps(_template_request(args, job, further), indent=2))
        else:
            print(f"job       {job}")
        stages = preview.prepare_stages if job.module is prepare else preview.score_stages
        print("stages    " + "\n          ".join(stages(job_args, options)))
    print("nothing was submitted or written")


def main(argv: Sequence[str]) -> None:
    """Check everything, then submit the jobs, wait for them, and say their ids and pages."""
    # Beam looks for soft deletion in a bucket before it is checked here, and warns where there is none.
    logging.getLogger("apache_beam.io.gcp.gcsio").setLevel(logging.ERROR)
    args, further = build_parser().parse_known_args(argv)
    jobs = plan(args, further)
    for job in jobs:
        job.parse()
    jobs = check(args, jobs)
    if args.dry_run:
        show(args, jobs, further)
        return
    try:
        submit(args, jobs, further)
    finally:
        for submitted in execution.submitted:
            print(f"job       {submitted.name}: {submitted.job_id}\n          {submitted.page}", flush=True)


def _check_inputs(args: argparse.Namespace) -> None:
    if args.top_n < 1:
        raise InputError(f"--top_n is {args.top_n}; give a whole number of at least 1")
    if args.dataset and (args.users or args.candidates):
        raise InputError("--dataset makes users and candidates, so it goes without --users and --candidates; leave out")
    if not args.dataset and not (args.users and args.candidates):
        raise InputError("no input; give --dataset, or both --users and --candidates")
    if args.flex_template and args.dataset:
        raise InputError("--flex_template scores and does not prepare; give --users and --candidates, not --dataset")
    for flag in ("model", "users", "candidates", "output", "flex_template"):
        if path := getattr(args, flag):
            cloud_flags.check_gcs(path, f"--{flag}")
    if args.dataset and storage.is_local(args.dataset):
        found = [*storage.list_files(args.dataset), *storage.list_files(f"{args.dataset.rstrip('/')}/*.parquet")]
        if any(path.endswith(".parquet") for path in found):
            cloud_flags.check_gcs(args.dataset, "--dataset")


def _template_request(args: argparse.Namespace, job: Job, further: Sequence[str]) -> dict[str, object]:
    job_args, options = job.parse()
    names = [parameter["name"] for parameter in json.loads(TEMPLATE.read_text(encoding="utf-8"))["parameters"]]
    own = {name: getattr(job_args, name) for name in ("model", "users", "candidates", "output", "top_n", "run_date")}
    threads = f"--number_of_worker_harness_threads={machines.THREADS}"
    parameters = flex_template.parameters_of([*_flags(own), threads, *further], names)
    return flex_template.launch_request(args.flex_template, parameters, options)


def _packages_travel(args: argparse.Namespace) -> bool:
    """Whether workers install the package when they start, for want of an image that has it."""
    return bool(args.setup_file) or not (args.sdk_container_image or args.flex_template)


def _flags(values: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items() if value is not None]


def _required(parser: argparse.ArgumentParser) -> list[str]:
    """Values for the flags that a parser requires, by which to see which other flags it takes."""
    return [f"{action.option_strings[0]}=-" for action in parser._actions if action.required]


if __name__ == "__main__":
    run(main)
