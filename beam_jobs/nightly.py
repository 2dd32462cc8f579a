r"""Run a whole night on Google's Dataflow.

    nightrank dataflow --project my-project-1 --region us-central1 --model gs://BUCKET/model \
        --users 'gs://BUCKET/users/*.parquet' --candidates 'gs://BUCKET/candidates/*.parquet' --output gs://BUCKET

Where `--dataset` is given, a first job prepares users and candidates from it. The scoring job audits and publishes too.
Everything that can be checked is checked before anything is staged. The jobs need nobody to wait for them: this command
may end, or be stopped, once the last one is submitted.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Sequence

from beam_jobs.dataflow import buckets, machines, preflight, preview, submission
from beam_jobs.dataflow.cloud_settings import GPUS, CloudSettings
from beam_jobs.dataflow.night import Night, fit_to_model, plan_jobs
from beam_jobs.dataflow.package import build_and_inspect
from beam_jobs.io import storage
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import add_no_wait, add_run_date
from beam_jobs.pipeline.run_date import parse_run_date
from model.cli import FlagParser, InputError, about, run

_CLOUD_HELP = {
    "project": "project that runs the jobs and pays for them",
    "region": "region of the jobs, such as us-central1",
    "temp_location": "folder for temporary files; default: dataflow/temp in the bucket of --output",
    "staging_location": "folder for packages and pipelines; default: dataflow/staging in the bucket of --output",
    "service_account_email": "account that the workers run as",
    "subnetwork": "subnetwork of the workers: regions/REGION/subnetworks/NAME",
    "dataflow_kms_key": "key that encrypts the jobs' state: projects/P/locations/REGION/keyRings/RING/cryptoKeys/KEY",
    "sdk_container_image": "image of the workers, with our package in it; without it, workers install --setup_file",
    "num_workers": "machines at the start",
    "max_num_workers": "machines at most",
    "worker_machine_type": f"machine type of a worker; default: {machines.DEFAULT}, or one that takes --gpu",
    "gpu": f"type of a GPU for each worker that scores: {', '.join(GPUS)}",
}


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank dataflow",
        description="Run a whole night on Google's Dataflow: prepare if --dataset is given, score, audit, publish.",
        example="nightrank dataflow --project my-project-1 --region us-central1 --model gs://BUCKET/model "
        "--dataset gs://BUCKET/ratings.csv --output gs://BUCKET",
        passes_on="the jobs, and what they do not know to Beam",
    )
    parser.add_argument("--model", required=True, help="gs:// folder of the exported model")
    parser.add_argument("--dataset", help="interactions to prepare users and candidates from; as beam_jobs.prepare")
    parser.add_argument("--columns", metavar="A=B,..", help="names of the dataset's columns where they differ")
    parser.add_argument("--tfds_data_dir", metavar="DIR", help="where TensorFlow Datasets prepared its datasets")
    parser.add_argument("--users", help="glob of the users table's Parquet files, instead of --dataset")
    parser.add_argument("--candidates", help="glob of the candidates table's Parquet files, instead of --dataset")
    parser.add_argument("--output", required=True, help="gs:// folder that gets recommendations/run_date=YYYY-MM-DD")
    parser.add_argument("--top_n", type=int, default=20, help="recommendations for each user, at least 1")
    add_run_date(parser)
    for name, text in _CLOUD_HELP.items():
        kind: Callable[[str], object] = int if name.endswith("num_workers") else str
        metavar = "TYPE" if name == "gpu" else None
        parser.add_argument(f"--{name}", type=kind, required=name in ("project", "region"), metavar=metavar, help=text)
    parser.add_argument("--no_use_public_ips", action="store_true", help="give workers no public addresses")
    parser.add_argument(
        "--labels", action="append", default=[], metavar="KEY=VALUE", help="label of the jobs; may be repeated"
    )
    parser.add_argument("--setup_file", help="setup.py of the package that workers install; default: this checkout's")
    parser.add_argument("--flex_template", metavar="GS_PATH", help="score by this Flex template")
    parser.add_argument("--dry_run", action="store_true", help="check, and show what would be submitted; write nothing")
    add_no_wait(parser)
    return parser


def night_of(args: argparse.Namespace, further: Sequence[str]) -> Night:
    """The night that the flags ask for.

    Args:
      args: the parsed flags of this command.
      further: the other words of the command line, for the jobs and Beam.

    Raises:
      InputError: a flag has a wrong value, or two contradict each other.
    """
    _check_flags(args)
    return Night(
        model=args.model,
        output=args.output,
        run_date=parse_run_date(args.run_date),
        top_n=args.top_n,
        cloud=_cloud_settings(args),
        users=args.users,
        candidates=args.candidates,
        dataset=args.dataset,
        columns=args.columns,
        tfds_data_dir=args.tfds_data_dir,
        setup_file=args.setup_file,
        flex_template=args.flex_template,
        wait=not args.no_wait,
        further=tuple(further),
    )


def main(argv: Sequence[str]) -> None:
    """Check everything, submit the jobs, wait for them, and print their ids and pages."""
    # Beam asks whether a bucket has soft deletion before we check that it exists, and warns where it does not.
    logging.getLogger("apache_beam.io.gcp.gcsio").setLevel(logging.ERROR)
    args, further = build_parser().parse_known_args(argv)
    night = night_of(args, further)
    jobs = plan_jobs(night)
    _, options = [job.parse() for job in jobs][-1]
    preflight.check_buckets(night, options, write=not args.dry_run)
    size = preflight.size_scoring_worker(night)
    print(f"workers   {size}", flush=True)
    needs_vectors = False
    # A scoring job that this command submits by itself checks its inputs when it is built, before anything is staged.
    if night.dataset or night.flex_template or args.dry_run:
        needs_vectors = preflight.check_inputs(night)
    _check_package(night)
    jobs = fit_to_model(jobs, size, night.model if needs_vectors else None)
    if args.dry_run:
        print(preview.describe(night, jobs))
        print("nothing was submitted or written")
        return
    try:
        submission.submit(night, jobs)
    finally:
        for submitted in execution.submitted:
            print(f"job       {submitted.name}: {submitted.job_id}\n          {submitted.page}", flush=True)


def _check_flags(args: argparse.Namespace) -> None:
    if args.top_n < 1:
        raise InputError(f"--top_n is {args.top_n}; give a whole number of at least 1")
    if args.dataset and (args.users or args.candidates):
        raise InputError("--dataset makes users and candidates; give it without --users and --candidates")
    if not args.dataset and not (args.users and args.candidates):
        raise InputError("no input; give --dataset, or both --users and --candidates")
    if args.flex_template and args.dataset:
        raise InputError("--flex_template scores and does not prepare; give --users and --candidates, not --dataset")
    for flag in ("model", "users", "candidates", "output", "flex_template"):
        if path := getattr(args, flag):
            with about(f"--{flag}"):
                buckets.check_address(path)
    if args.dataset and storage.is_local(args.dataset):
        found = [*storage.list_files(args.dataset), *storage.list_files(f"{args.dataset.rstrip('/')}/*.parquet")]
        # This command reads any other dataset itself, and uploads it as Parquet.
        if any(path.endswith(".parquet") for path in found):
            with about("--dataset"):
                buckets.check_address(args.dataset)


def _cloud_settings(args: argparse.Namespace) -> CloudSettings:
    given = {field.name: getattr(args, field.name) for field in dataclasses.fields(CloudSettings)}
    given["labels"] = tuple(args.labels)
    for name, folder in {"temp_location": "temp", "staging_location": "staging"}.items():
        given[name] = given[name] or f"{buckets.bucket_of(args.output)}/dataflow/{folder}"
    return CloudSettings(**given)


def _check_package(night: Night) -> None:
    if not night.package_to_install:
        return
    with about("--setup_file"):
        print(f"package   {build_and_inspect(night.package_to_install)}", flush=True)
    if night.cloud.no_use_public_ips:
        print(
            "note: workers install TensorFlow when they start, and without public addresses they reach the package "
            "index only through Cloud NAT; with --sdk_container_image they need neither",
            file=sys.stderr,
        )


if __name__ == "__main__":
    run(main)
