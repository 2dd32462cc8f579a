"""Flags of a run on Google Cloud that are Beam's own, under Beam's names: looked at before they are handed on."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass

from beam_jobs.dataflow import machines
from beam_jobs.dataflow.machines import Machine
from model.cli import FlagParser, InputError

LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64

_GCS = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?")
_ZONE = re.compile(r"[a-z]+(-[a-z]+)+\d+-[a-z]")
_SUBNETWORK = re.compile(r"(?:https://[^ ]+/projects/[^/ ]+/)?regions/([^/ ]+)/subnetworks/[a-z][a-z0-9-]*")
_KEY = re.compile(r"projects/[^/ ]+/locations/([^/ ]+)/keyRings/[^/ ]+/cryptoKeys/[^/ ]+")

GPUS = {
    "nvidia-tesla-t4": "n1-standard-8",
    "nvidia-tesla-p100": "n1-standard-8",
    "nvidia-tesla-v100": "n1-standard-8",
    "nvidia-l4": "g2-standard-8",
    "nvidia-tesla-a100": "a2-highgpu-1g",
}
"""Graphics cards that Dataflow attaches, with a machine that takes one; others of that machine's family do too."""


@dataclass(frozen=True)
class Form:
    """How the value of a flag must look."""

    pattern: re.Pattern[str]
    remedy: str


FORMS = {
    "project": Form(
        re.compile(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]"), "give the project's id, such as my-project-1"
    ),
    "region": Form(re.compile(r"[a-z]+(-[a-z]+)+\d+"), "give a region, such as us-central1"),
    "service_account_email": Form(
        re.compile(r"[a-z0-9-]+@([a-z0-9.-]+\.)?gserviceaccount\.com"),
        "give an account like nightrank@my-project-1.iam.gserviceaccount.com",
    ),
    "subnetwork": Form(_SUBNETWORK, "write it regions/REGION/subnetworks/NAME"),
    "dataflow_kms_key": Form(_KEY, "write it projects/P/locations/REGION/keyRings/RING/cryptoKeys/KEY"),
    "sdk_container_image": Form(re.compile(r"[a-z0-9.-]+(:\d+)?(/[\w.-]+)+([:@][\w.:-]+)?"), "give REGISTRY/NAME:TAG"),
    "temp_location": Form(_GCS, "workers write there, so give gs://BUCKET/FOLDER"),
    "staging_location": Form(_GCS, "workers read there, so give gs://BUCKET/FOLDER"),
}
"""Of every flag that is a text and handed on as it is."""

_NUMBERS = ("num_workers", "max_num_workers")
_HELP: dict[str, str] = {
    "project": "project that the jobs run in and are paid by",
    "region": "region of the jobs, such as us-central1",
    "temp_location": "folder for temporary files; by default dataflow/temp in the bucket of --output",
    "staging_location": "folder for packages and pipelines; by default dataflow/staging in the bucket of --output",
    "service_account_email": "account that workers run as",
    "subnetwork": "of the workers: regions/REGION/subnetworks/NAME",
    "dataflow_kms_key": "key that encrypts the jobs' state: projects/P/locations/REGION/keyRings/RING/cryptoKeys/KEY",
    "sdk_container_image": "image of the workers, which has the packages; without it they travel by --setup_file",
    "num_workers": "machines at the start",
    "max_num_workers": "machines at most",
}


def add_flags(parser: FlagParser) -> None:
    """Add them to a parser; their values are checked by `check`."""
    for name, text in _HELP.items():
        kind: Callable[[str], object] = int if name in _NUMBERS else str
        parser.add_argument(f"--{name}", type=kind, required=name in ("project", "region"), help=text)
    parser.add_argument("--worker_machine_type", help=f"machine of a worker; {machines.DEFAULT}, or one for --gpu")
    parser.add_argument("--no_use_public_ips", action="store_true", help="workers get no public addresses")
    parser.add_argument("--labels", action="append", default=[], metavar="KEY=VALUE", help="of the jobs; repeatable")
    parser.add_argument("--gpu", metavar="TYPE", help=f"a graphics card a worker: {', '.join(GPUS)}")


def check(args: argparse.Namespace) -> Machine:
    """Look at the values, as far as that needs no network.

    Returns:
      The machine type of a worker.

    Raises:
      InputError: a value that Google Cloud would refuse, or two that contradict each other.
    """
    if args.region and _ZONE.fullmatch(args.region):
        raise InputError(f"--region {args.region}: a zone; give --region {args.region[:-2]}, and --worker_zone with it")
    for name, form in FORMS.items():
        value = getattr(args, name)
        if value is not None and not form.pattern.fullmatch(value):
            raise InputError(f"--{name} {value}: not of its form; {form.remedy}")
    for name in _NUMBERS:
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} is {value}; give a whole number of at least 1")
    if args.num_workers and args.max_num_workers and args.num_workers > args.max_num_workers:
        raise InputError(
            f"--num_workers {args.num_workers} is more than --max_num_workers {args.max_num_workers}; raise the latter"
        )
    _check_region(args, "subnetwork", _SUBNETWORK)
    _check_region(args, "dataflow_kms_key", _KEY)
    _check_labels(args.labels)
    return _machine(args)


def check_gcs(path: str, flag: str) -> None:
    """Raises InputError unless `path` is a gs:// address, which workers everywhere can read."""
    if not _GCS.fullmatch(path):
        raise InputError(f"{flag} {path}: workers cannot reach it; copy it to a bucket and give gs://BUCKET/..")


def bucket_of(path: str) -> str:
    """`gs://BUCKET` of a gs:// address."""
    return "/".join(path.split("/", 3)[:3])


def to_beam(args: argparse.Namespace, machine: Machine) -> list[str]:
    """The flags as a job takes them. Defaults that depend on other flags are filled in."""
    bucket = bucket_of(args.output)
    values = {name: getattr(args, name) for name in _HELP}
    values["temp_location"] = values["temp_location"] or f"{bucket}/dataflow/temp"
    values["staging_location"] = values["staging_location"] or f"{bucket}/dataflow/staging"
    flags = [f"--{name}={value}" for name, value in values.items() if value is not None]
    flags.append(f"--worker_machine_type={machine.name}")
    flags += ["--no_use_public_ips"] if args.no_use_public_ips else []
    flags += [f"--labels={label}" for label in args.labels]
    return flags


def accelerator(gpu: str) -> str:
    """The option of Dataflow's service that attaches a graphics card to every worker."""
    return f"worker_accelerator=type:{gpu};count:1;install-nvidia-driver"


def _check_region(args: argparse.Namespace, name: str, pattern: re.Pattern[str]) -> None:
    found = pattern.fullmatch(getattr(args, name) or "")
    if found and found[1] != args.region:
        raise InputError(f"--{name} {found[0]}: is in {found[1]} and the job in {args.region}; give one of that region")


def _check_labels(labels: list[str]) -> None:
    for label in labels:
        key, separator, value = label.partition("=")
        if not (separator and LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value)):
            raise InputError(
                f"--labels {label}: write it key=value in lower-case letters, digits, _ and -, the key beginning with "
                "a letter, each up to 63 characters"
            )
    if len(labels) > MOST_LABELS:
        raise InputError(f"--labels: {len(labels)} of them; Google Cloud takes at most {MOST_LABELS}")


def _machine(args: argparse.Namespace) -> Machine:
    if not args.gpu:
        return Machine.parse(args.worker_machine_type or machines.DEFAULT)
    if args.gpu not in GPUS:
        raise InputError(f"--gpu {args.gpu}: not a card known here; give one of {', '.join(GPUS)}")
    fitting = Machine.parse(GPUS[args.gpu])
    machine = Machine.parse(args.worker_machine_type or fitting.name)
    if machine.family != fitting.family:
        raise InputError(f"--gpu {args.gpu}: {machine.name} takes none; choose one of the kind of {fitting.name}")
    if not args.sdk_container_image:
        raise InputError("--gpu: Beam's own image has no CUDA; build the gpu image and give --sdk_container_image")
    return machine
