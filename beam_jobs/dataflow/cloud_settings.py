"""Settings of the jobs on Google Cloud, checked when they are made and without a network."""

from __future__ import annotations

import re
from dataclasses import dataclass

from beam_jobs.dataflow import buckets
from beam_jobs.dataflow.machines import DEFAULT, Machine
from model.cli import InputError, about

LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")
MOST_LABELS = 64

GPUS = {
    "nvidia-tesla-t4": "n1-standard-8",
    "nvidia-tesla-p100": "n1-standard-8",
    "nvidia-tesla-v100": "n1-standard-8",
    "nvidia-l4": "g2-standard-8",
    "nvidia-tesla-a100": "a2-highgpu-1g",
}
"""GPUs that Dataflow attaches, each with a machine type that takes it. Other types of that family take it too."""

_ZONE = re.compile(r"[a-z]+(-[a-z]+)+\d+-[a-z]")
_SUBNETWORK = re.compile(r"(?:https://[^ ]+/projects/[^/ ]+/)?regions/([^/ ]+)/subnetworks/[a-z][a-z0-9-]*")
_KEY = re.compile(r"projects/[^/ ]+/locations/([^/ ]+)/keyRings/[^/ ]+/cryptoKeys/[^/ ]+")


@dataclass(frozen=True)
class Form:
    """What a text must look like."""

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
    "temp_location": Form(buckets.ADDRESS, "workers write there, so give gs://BUCKET/FOLDER"),
    "staging_location": Form(buckets.ADDRESS, "workers read there, so give gs://BUCKET/FOLDER"),
}
"""The form of each setting that is a text."""


@dataclass(frozen=True)
class CloudSettings:
    """Where the jobs run, on what machines, and as whom.

    A field is the Beam option of the same name, and messages call it as Beam does: `--region`. The exception is `gpu`.

    Raises:
      InputError: Google Cloud would refuse a value, or two values contradict each other.
    """

    project: str
    region: str
    temp_location: str
    staging_location: str
    service_account_email: str | None = None
    subnetwork: str | None = None
    dataflow_kms_key: str | None = None
    sdk_container_image: str | None = None
    num_workers: int | None = None
    max_num_workers: int | None = None
    worker_machine_type: str | None = None
    """None for the default, which depends on `gpu`."""
    no_use_public_ips: bool = False
    labels: tuple[str, ...] = ()
    """`KEY=VALUE` each."""
    gpu: str | None = None
    """The type of the one GPU that each worker of the scoring job gets."""

    def __post_init__(self) -> None:
        if _ZONE.fullmatch(self.region):
            region = self.region[:-2]
            raise InputError(f"--region {self.region}: a zone; give --region {region}, and --worker_zone with it")
        for name, form in FORMS.items():
            value = getattr(self, name)
            if value is not None and not form.pattern.fullmatch(value):
                raise InputError(f"--{name} {value}: not of its form; {form.remedy}")
        self._check_numbers()
        self._check_region("subnetwork", _SUBNETWORK)
        self._check_region("dataflow_kms_key", _KEY)
        self._check_labels()
        self._check_gpu()

    @property
    def machine(self) -> Machine:
        """The machine type of a worker."""
        fitting = GPUS.get(self.gpu, DEFAULT) if self.gpu else DEFAULT
        with about("--worker_machine_type"):
            return Machine.parse(self.worker_machine_type or fitting)

    def beam_flags(self) -> list[str]:
        """The flags of any job with these settings."""
        names = [*FORMS, "num_workers", "max_num_workers"]
        flags = [f"--{name}={getattr(self, name)}" for name in names if getattr(self, name) is not None]
        flags.append(f"--worker_machine_type={self.machine.name}")
        flags += ["--no_use_public_ips"] if self.no_use_public_ips else []
        return flags + [f"--labels={label}" for label in self.labels]

    def gpu_flags(self) -> list[str]:
        """The further flags of a job whose workers have the GPU."""
        accelerator = f"worker_accelerator=type:{self.gpu};count:1;install-nvidia-driver"
        return [f"--dataflow_service_options={accelerator}"] if self.gpu else []

    def _check_numbers(self) -> None:
        for name in ("num_workers", "max_num_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} is {value}; give a whole number of at least 1")
        if self.num_workers and self.max_num_workers and self.num_workers > self.max_num_workers:
            raise InputError(
                f"--num_workers {self.num_workers} is more than --max_num_workers {self.max_num_workers}; "
                "raise the latter"
            )

    def _check_region(self, name: str, pattern: re.Pattern[str]) -> None:
        found = pattern.fullmatch(getattr(self, name) or "")
        if found and found[1] != self.region:
            raise InputError(
                f"--{name} {found[0]}: is in {found[1]} and the job in {self.region}; give one of that region"
            )

    def _check_labels(self) -> None:
        for label in self.labels:
            key, separator, value = label.partition("=")
            if not (separator and LABEL_KEY.fullmatch(key) and LABEL_VALUE.fullmatch(value)):
                raise InputError(
                    f"--labels {label}: write it key=value in lower-case letters, digits, _ and -; the key begins with "
                    "a letter, and each has at most 63 characters"
                )
        if len(self.labels) > MOST_LABELS:
            raise InputError(f"--labels: there are {len(self.labels)}; Google Cloud takes at most {MOST_LABELS}")

    def _check_gpu(self) -> None:
        machine = self.machine
        if not self.gpu:
            return
        if self.gpu not in GPUS:
            raise InputError(f"--gpu {self.gpu}: not a GPU known here; give one of {', '.join(GPUS)}")
        fitting = Machine.parse(GPUS[self.gpu])
        if machine.family != fitting.family:
            raise InputError(f"--gpu {self.gpu}: {machine.name} takes none; choose one of the kind of {fitting.name}")
        if not self.sdk_container_image:
            raise InputError("--gpu: Beam's own image has no CUDA; build the gpu image and give --sdk_container_image")
