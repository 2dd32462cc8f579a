"""The plan of a night: its jobs, each as the command line that it is."""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import prepare, score
from beam_jobs.dataflow.cloud_settings import CloudSettings
from beam_jobs.dataflow.machines import WorkerSize, size_worker
from beam_jobs.dataflow.package import SETUP_FILE
from beam_jobs.io import storage
from beam_jobs.pipeline.options import parse_flags


@dataclass(frozen=True)
class Night:
    """What one night reads and makes, and where its jobs run."""

    model: str
    output: str
    run_date: str
    top_n: int
    cloud: CloudSettings
    users: str | None = None
    candidates: str | None = None
    dataset: str | None = None
    """Interactions that the night makes `users` and `candidates` from; None where it is given both."""
    columns: str | None = None
    tfds_data_dir: str | None = None
    setup_file: str | None = None
    flex_template: str | None = None
    """The gs:// address of the template to score by; None to submit the job from here."""
    wait: bool = True
    """Wait for the scoring job."""
    further: tuple[str, ...] = ()
    """Flags for the jobs. Beam gets those that the jobs do not know."""

    @property
    def package_to_install(self) -> str | None:
        """The setup.py of the package that workers install when they start; None where their image has the package."""
        if self.setup_file or not (self.cloud.sdk_container_image or self.flex_template):
            return self.setup_file or str(SETUP_FILE)
        return None

    def score_flags(self) -> list[str]:
        """The flags of `beam_jobs.score`, apart from `further` and those about the cloud."""
        users, candidates = self.users, self.candidates
        if self.dataset:
            users, candidates = (storage.join(self.output, table, "*.parquet") for table in prepare.TABLES)
        tables = {"model": self.model, "users": users, "candidates": candidates, "output": self.output}
        return _as_flags({**tables, "top_n": self.top_n, "run_date": self.run_date})


@dataclass(frozen=True)
class Job:
    """One job of a night: a command and its flags."""

    command: ModuleType
    """`beam_jobs.prepare` or `beam_jobs.score`."""
    flags: Sequence[str]
    """The command's own flags and Beam's, each as `--name=value` or `--name`."""

    def parse(self) -> tuple[argparse.Namespace, PipelineOptions]:
        """Parse the flags as the command does. Raises InputError."""
        return parse_flags(self.command.build_parser(), self.flags)

    def preceded_by(self, flags: Sequence[str]) -> Job:
        """The job with more flags before its own. Where two contradict each other, the later one holds."""
        return replace(self, flags=[*flags, *self.flags])

    def __str__(self) -> str:
        lines = [f"python -m {self.command.__name__}", *map(shlex.quote, self.flags)]
        return " \\\n    ".join(lines)


def plan_jobs(night: Night) -> list[Job]:
    """The jobs of a night in order. The last one scores. This needs no network."""
    cloud = ["--runner=DataflowRunner", *night.cloud.beam_flags()]
    if night.package_to_install:
        cloud.append(f"--setup_file={night.package_to_install}")
    if importlib.util.find_spec("pip") is None:
        # Beam would call pip to list the packages that are installed here, and keep the list with the job.
        cloud.append("--experiments=disable_logging_submission_environment")
    suffix = f"{night.run_date.replace('-', '')}-{uuid.uuid4().hex[:6]}"
    scoring = [*night.score_flags(), *cloud, f"--job_name=nightrank-score-{suffix}", *night.cloud.gpu_flags()]
    scoring += [] if night.wait else ["--no_wait"]
    score_job = Job(score, [*scoring, *night.further])
    if not night.dataset:
        return [score_job]
    own = {name: getattr(night, name) for name in ("dataset", "columns", "tfds_data_dir", "output")}
    preparing = [*_as_flags(own), *cloud, f"--job_name=nightrank-prepare-{suffix}"]
    # What `score` does not know among the further flags is Beam's, and so it is for `prepare` too.
    _, beams = score.build_parser().parse_known_args([*night.score_flags(), *night.further])
    threads = size_worker(night.cloud.machine, model_bytes=0).flags()
    return [Job(prepare, [*preparing, *threads, *beams]), score_job]


def fit_to_model(jobs: Sequence[Job], size: WorkerSize, vectors_of: str | None) -> list[Job]:
    """The planned jobs with the flags that depend on the model.

    Args:
      jobs: as `plan_jobs` returns them.
      size: of the workers that score.
      vectors_of: the model's folder, if `prepare` is to add its user vectors to the users.
    """
    *before, last = jobs
    vectors = [f"--with_vectors={vectors_of}"] if vectors_of else []
    return [*(job.preceded_by(vectors) for job in before), last.preceded_by(size.flags())]


def _as_flags(values: Mapping[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in values.items() if value is not None]
