"""Checks over the network before a night is submitted: buckets, model, tables."""

from __future__ import annotations

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_jobs.dataflow import buckets
from beam_jobs.dataflow.machines import WorkerSize, size_worker
from beam_jobs.dataflow.night import Night
from beam_jobs.io import storage
from beam_jobs.scoring.exported_model import check_model
from model.cli import about
from model.contract import USER_VECTORS_FOLDER


def check_buckets(night: Night, options: PipelineOptions, write: bool) -> None:
    """Check every bucket that the night writes to.

    Args:
      night: what is asked for.
      options: Beam's options of the scoring job.
      write: also try to write, which leaves nothing behind.

    Raises:
      InputError: a bucket does not exist, or this account may not use it.
    """
    cloud = options.view_as(GoogleCloudOptions)
    places = {
        "--output": night.output,
        "--staging_location": cloud.staging_location,
        "--temp_location": cloud.temp_location,
    }
    for flag, path in places.items():
        with about(flag):
            buckets.check_exists(path, options, night.cloud.region)
            if write:
                storage.check_writable(path)


def size_scoring_worker(night: Night) -> WorkerSize:
    """Choose processes and threads of the workers that score, by the size of the model.

    Raises:
      InputError: the model is not there, or it does not fit the machine.
    """
    # Tables of users that lie beside the model are read by `prepare`, and no scoring worker loads them.
    with about("--model"):
        model_bytes = storage.size_below(night.model, left_out=USER_VECTORS_FOLDER)
    with about("--worker_machine_type"):
        return size_worker(night.cloud.machine, model_bytes, one_process=bool(night.cloud.gpu))


def check_inputs(night: Night) -> bool:
    """Check the model, and that there are users and candidates where the night is given them.

    Returns:
      Whether the model needs users with their vectors.

    Raises:
      InputError: something is missing or cannot be used.
    """
    for flag, pattern in {"--users": night.users, "--candidates": night.candidates}.items():
        if pattern:
            with about(flag):
                storage.match(pattern)
    with about("--model"):
        return check_model(night.model).needs_vectors
