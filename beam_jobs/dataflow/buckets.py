"""Buckets of Cloud Storage: addresses, and whether a bucket exists."""

from __future__ import annotations

import re

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.io import storage
from model.cli import InputError

ADDRESS = re.compile(r"gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9](/.*)?")


def bucket_of(path: str) -> str:
    """`gs://BUCKET` of a gs:// address."""
    return "/".join(path.split("/", 3)[:3])


def check_address(path: str) -> None:
    """Raises InputError unless `path` is a gs:// address, which every worker can reach."""
    if not ADDRESS.fullmatch(path):
        raise InputError(f"{path}: workers cannot reach it; copy it to a bucket and give gs://BUCKET/..")


def check_exists(path: str, options: PipelineOptions, region: str) -> None:
    """Raises InputError unless the bucket of `path` exists and this account may see it."""
    # Google's libraries come with the extra `gcp`, so they are imported only when needed.
    from apache_beam.io.gcp.gcsio import GcsIO

    bucket = bucket_of(path)
    try:
        found = GcsIO(pipeline_options=options).get_bucket(bucket.removeprefix("gs://"))
    except storage.FILE_ERRORS as error:
        reason = storage.reason(error)
        raise InputError(f"{path}: its bucket cannot be seen ({reason}); check who may read it") from None
    if found is None:
        raise InputError(
            f"{path}: there is no bucket {bucket}; make it with "
            f"`gcloud storage buckets create {bucket} --location={region}`, or name another"
        )
