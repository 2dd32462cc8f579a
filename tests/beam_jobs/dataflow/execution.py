"""Execution of a job: Prism runs its staged pipeline, with workers that have only what was staged."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

from apache_beam.metrics.metric import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2, endpoints_pb2
from apache_beam.runners.portability.portable_runner import PortableRunner

from beam_jobs.engines import prism
from beam_jobs.engines.processes import free_ports, listens
from tests.beam_jobs.dataflow.service import Job
from tests.beam_jobs.dataflow.storage import Storage
from tests.beam_jobs.dataflow.workers import WorkerEnvironment

POOL = "apache_beam.runners.worker.worker_pool_main"
PACKAGE = "workflow.tar.gz"
"""Beam's name for the package that it builds with --setup_file."""


class Execution:
    """Performs jobs. The logs of workers and engine go to `logs`."""

    def __init__(
        self, storage: Storage, workers: WorkerEnvironment, environment: Mapping[str, str], logs: Path
    ) -> None:
        self._storage, self._workers, self._environment, self._logs = storage, workers, environment, logs
        self.seconds_to_install = 0.0

    def perform(self, job: Job) -> Mapping[str, int]:
        """Run the job to its end and return its counters."""
        content = self._storage.read(job.options["pipelineUrl"])
        assert hashlib.sha256(content).hexdigest() == job.options["pipelineProtoHash"]
        pipeline = beam_runner_api_pb2.Pipeline.FromString(content)
        self._install(pipeline)
        folder = self._logs / job.job_id
        with prism.server(folder) as engine:
            [port] = free_ports(1)
            engine.processes.start(
                "clean-workers",
                [*("env", "-C", "/", self._workers.python, "-m", POOL), f"--service_port={port}"],
                {**self._workers.variables(), **self._environment},
            )
            engine.processes.wait_until("the clean workers listened", lambda: listens(port), 60)
            _move(pipeline, f"localhost:{port}")
            endpoint = next(flag for flag in engine.flags if flag.startswith("--job_endpoint="))
            options = PipelineOptions([endpoint, f"--job_name={job.request['name']}", "--environment_type=EXTERNAL"])
            result = PortableRunner().run_portable_pipeline(pipeline, options)
            state = result.wait_until_finish()
            if state != "DONE":
                raise RuntimeError(f"the pipeline ended as {state}")
            counters = result.metrics().query(MetricsFilter().with_namespace("nightrank"))["counters"]
            return {counter.key.metric.name: counter.committed or counter.attempted for counter in counters}

    def _install(self, pipeline: beam_runner_api_pb2.Pipeline) -> None:
        """Install the staged package, after a check of its digest against the pipeline."""
        [environment] = pipeline.components.environments.values()
        for dependency in environment.dependencies:
            payload = beam_runner_api_pb2.ArtifactUrlPayload.FromString(dependency.type_payload)
            staged = self._storage.read(payload.url)
            assert hashlib.sha256(staged).hexdigest() == payload.sha256
            if payload.url.endswith(f"/{PACKAGE}"):
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / PACKAGE
                    path.write_bytes(staged)
                    self._workers.install_package(path)


def _move(pipeline: beam_runner_api_pb2.Pipeline, address: str) -> None:
    """Make the steps run in the workers at an address, instead of in containers."""
    [environment] = pipeline.components.environments.values()
    environment.urn = common_urns.environments.EXTERNAL.urn
    environment.payload = beam_runner_api_pb2.ExternalPayload(
        endpoint=endpoints_pb2.ApiServiceDescriptor(url=address)
    ).SerializeToString()
    del environment.dependencies[:]
