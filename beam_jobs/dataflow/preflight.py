"""What can be looked at before a job is submitted: buckets."""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.dataflow import cloud_flags
from beam_jobs.io import storage
from model.cli import InputError


def check_bucket(path: str, flag: str, options: PipelineOptions, region: str) -> None:
    """Raises InputError unless the bucket of `path` is there."""
    # Of the extra `gcp`, as all of Google's services.
    from apache_beam.io.gcp.gcsio import GcsIO

    bucket = cloud_flags.bucket_of(path)
    try:
        found = GcsIO(pipeline_options=options).get_bucket(bucket.removeprefix("gs://"))
    except storage.FILE_ERRORS as error:
        raise InputError(f"{flag} {path}: its bucket cannot be seen ({storage.reason(error)}); check who may") from None
    if found is None:
        raise InputError(
            f"{flag} {path}: there is no bucket {bucket}; make it with "
            f"`gcloud storage buckets create {bucket} --location={region}`, or name another"
        )
