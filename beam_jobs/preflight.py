"""What can be looked at before a job is submitted: buckets, and the model in one."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs import cloud_flags, files
from model.cli import InputError
from model.contract import USER_VECTORS_FOLDER
from model.saved_model import check_files, read_description


def check_bucket(path: str, flag: str, options: PipelineOptions, region: str) -> None:
    """Raises InputError unless the bucket of `path` is there."""
    # Of the extra `gcp`, as all of Google's services.
    from apache_beam.io.gcp.gcsio import GcsIO

    bucket = cloud_flags.bucket_of(path)
    try:
        found = GcsIO(pipeline_options=options).get_bucket(bucket.removeprefix("gs://"))
    except files.FILE_ERRORS as error:
        raise InputError(f"{flag} {path}: its bucket cannot be seen ({files.reason(error)}); check who may") from None
    if found is None:
        raise InputError(
            f"{flag} {path}: there is no bucket {bucket}; make it with "
            f"`gcloud storage buckets create {bucket} --location={region}`, or name another"
        )


def check_model(path: str) -> Mapping[str, Any]:
    """What a model says of itself. Raises InputError unless its files are those that it describes."""
    with tempfile.TemporaryDirectory() as copy:
        files.copy_folder(path, Path(copy), left_out=USER_VECTORS_FOLDER)
        try:
            description = read_description(Path(copy))
            check_files(Path(copy), description["files"])
            return description
        except InputError as error:
            raise InputError(f"--model {error}".replace(copy, path.rstrip("/"))) from None
