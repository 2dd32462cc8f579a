"""The launcher of a Flex template. It runs the template's program, which writes the job's request to the bucket."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.beam_jobs.dataflow.service import Document
from tests.beam_jobs.dataflow.storage import BUCKET, Storage
from tests.beam_jobs.dataflow.workers import TOP, WorkerEnvironment

PROGRAM = TOP / "beam_jobs" / "dataflow" / "score_job.py"


class Launcher:
    """Runs in the environment of the image, and adds the same flags to the parameters as Google's launcher."""

    def __init__(
        self, storage: Storage, image: WorkerEnvironment, environment: Mapping[str, str], folder: Path
    ) -> None:
        self._storage, self._image, self._environment = storage, image, environment
        self._program = shutil.copy(PROGRAM, folder)

    def launch(self, parameter: Document) -> Document:
        place = f"gs://{BUCKET}/dataflow/templates/{parameter['jobName']}.json"
        environment = parameter["environment"]
        flags = {
            "runner": "DataflowRunner",
            "project": "test-project",
            "region": "us-central1",
            "job_name": parameter["jobName"],
            "template_location": place,
            "temp_location": environment["tempLocation"],
            "staging_location": environment["stagingLocation"],
            "sdk_container_image": environment["sdkContainerImage"],
            **parameter["parameters"],
        }
        done = subprocess.run(
            [self._image.python, self._program, *(f"--{name}={value}" for name, value in flags.items())],
            capture_output=True,
            text=True,
            env={**os.environ, **self._image.variables(), **self._environment},
            cwd="/",
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the launcher failed:\n{done.stdout}{done.stderr}")
        return json.loads(self._storage.read(place))
