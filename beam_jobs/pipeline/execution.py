"""Run a pipeline to its end: its counters come out, or one error that says what went wrong."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_jobs.pipeline.counters import counters_of
from model.cli import InputError, RunError


@dataclass(frozen=True)
class DataflowJob:
    """A job that Dataflow has accepted."""

    name: str
    job_id: str
    page: str
    """Where to watch it."""


submitted: list[DataflowJob] = []
"""Every job that this process has submitted to Dataflow, in order."""


def run(pipeline: beam.Pipeline, wait: bool = True) -> dict[str, int] | None:
    """Run a pipeline, by default to its end; of a job on Dataflow, say where to watch it.

    Returns:
      Our counters by name, each the sum over the steps that have it; None where the job was only submitted, either
      because `wait` is false or because a template was made, of which Dataflow makes jobs later.

    Raises:
      InputError: a worker raised one.
      RunError: the pipeline did not end well.
    """
    return follow(pipeline.run, pipeline.options, wait)


def follow(start: Callable[[], PipelineResult], options: PipelineOptions, wait: bool = True) -> dict[str, int] | None:
    """Call `start`, which starts a pipeline somehow, and go on as `run`."""
    try:
        with _without_tracebacks_of_input():
            result = start()
            _announce(result, options)
            if not (wait and getattr(result, "has_job", True)):
                return None
            state = result.wait_until_finish()
    except Exception as error:  # A runner raises whatever its workers did, as another type or as text.
        raise _translate(error) from error
    if state != PipelineState.DONE:
        raise RunError(f"the pipeline ended as {state}; the runner's log says why")
    return counters_of(result)


def _announce(result: PipelineResult, options: PipelineOptions) -> None:
    """Note a Dataflow job, and say its id and the page to watch it on; other runners have none."""
    if getattr(result, "has_job", False):
        cloud = options.view_as(GoogleCloudOptions)
        page = (
            f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{result.job_id()}?project={cloud.project}"
        )
        submitted.append(DataflowJob(cloud.job_name, result.job_id(), page))
        print(f"Dataflow job {result.job_id()}\n  {page}", flush=True)


@contextlib.contextmanager
def _without_tracebacks_of_input() -> Iterator[None]:
    """Keep a worker's `InputError` off the log: Beam logs its traceback, more than once, before it raises it."""

    def is_other(record: logging.LogRecord) -> bool:
        kind = record.exc_info[0] if record.exc_info else None
        return not (kind and issubclass(kind, InputError)) and f"{InputError.__name__}: " not in record.getMessage()

    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        handler.addFilter(is_other)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(is_other)


def _translate(error: Exception) -> Exception:
    text = str(error)
    if isinstance(error, InputError):
        return InputError(text.partition(" [while running")[0])
    found = re.search(r"InputError: (.*?)(?: \[while running|\n|$)", text)
    if found:
        return InputError(found[1])
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return RunError(f"the pipeline failed: {lines[-1].strip() if lines else type(error).__name__}")
