"""Run a pipeline to its end: its counters come out, or one error that says what went wrong."""

from __future__ import annotations

import contextlib
import logging
import re
import shlex
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import DirectOptions, GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineState

from beam_jobs.pipeline import progress, worker_process, worker_tracebacks
from beam_jobs.pipeline.counters import counters_of
from beam_jobs.pipeline.parallelism import IN_PROCESS_RUNNER
from model.cli import InputError, RunError

_LOG = logging.getLogger(__name__)

_WORKER_THREAD = "run_worker"
"""Beam's name for a thread that waits for the end of a worker process."""
_WORKER_REMEDY = "where memory ran out, fewer --direct_num_workers take less"

STOP_SECONDS = 2.0
"""How long an interrupted run waits for its threads."""


@dataclass(frozen=True)
class DataflowJob:
    """A job that Dataflow has accepted."""

    name: str
    job_id: str
    page: str
    """Where to watch it."""


submitted: list[DataflowJob] = []
"""Every job that this process has submitted to Dataflow, in order."""


def run(
    pipeline: beam.Pipeline, wait: bool = True, run_id: str | None = None, phases: Sequence[progress.Phase] = ()
) -> dict[str, int] | None:
    """Run a pipeline, by default to its end, and show its phases meanwhile; print where to watch a Dataflow job.

    Args:
      pipeline: not yet run.
      wait: whether to wait for its end.
      run_id: the id under which workers call `progress.report`.
      phases: of the run, in order. They are not shown for a job on Dataflow, which has its own messages.

    Returns:
      Our counters by name, each the sum over the steps that have it; None where the job was only submitted, either
      because `wait` is false or because a template was made, of which Dataflow makes jobs later.

    Raises:
      InputError: a worker raised one.
      RunError: the pipeline did not end well.
    """
    run_id = run_id or uuid.uuid4().hex[:8]
    runner = pipeline.options.view_as(StandardOptions).runner
    if runner == IN_PROCESS_RUNNER and _in_worker_processes(pipeline.options):
        pipeline.runner = _WorkerProcesses(progress.file_of(run_id))
    shown = phases if wait and "dataflow" not in (runner or "").lower() else ()
    with progress.followed(run_id, shown):
        return follow(pipeline.run, pipeline.options, wait, run_id)


def follow(
    start: Callable[[], PipelineResult], options: PipelineOptions, wait: bool = True, run_id: str = ""
) -> dict[str, int] | None:
    """Call `start`, which starts a pipeline somehow, and go on as `run`."""
    outcome: Future[dict[str, int] | None] = Future()
    started: list[PipelineResult] = []

    def work() -> None:
        try:
            started.append(start())
            _settle(outcome, _finish(started[0], options, wait))
        except BaseException as error:
            _settle(outcome, error)

    def thread_died(args: threading.ExceptHookArgs) -> None:
        """Beam waits forever where a worker process has died: only the thread that waits for the process ends."""
        _LOG.debug("a thread ended", exc_info=args.exc_value)
        if args.thread and args.thread.name == _WORKER_THREAD:
            _settle(outcome, RunError(f"a worker process died ({args.exc_value}); {_WORKER_REMEDY}"))

    undo = worker_tracebacks.keep_off()
    hook, threading.excepthook = threading.excepthook, thread_died
    # Beam waits in ways that a signal does not end. Python handles signals in the main thread, which waits here alone.
    thread = threading.Thread(target=work, name="pipeline", daemon=True)
    thread.start()
    try:
        return outcome.result()
    except RunError:
        raise
    except Exception as error:  # A runner raises whatever its workers did, as another type or as text.
        raise _translate(error) from error
    except BaseException:
        progress.stop(run_id)
        _cancel(started)
        raise
    finally:
        interrupted = not outcome.done()
        thread.join(STOP_SECONDS if interrupted else 1.0)
        # A pipeline that was left alone ends thread by thread, and each would print why.
        if not (interrupted or thread.is_alive()):
            threading.excepthook = hook
            undo()


def _settle(outcome: Future[dict[str, int] | None], value: dict[str, int] | BaseException | None) -> None:
    """Set the outcome of a pipeline, unless it has one."""
    with contextlib.suppress(InvalidStateError):
        if isinstance(value, BaseException):
            outcome.set_exception(value)
        else:
            outcome.set_result(value)


def _finish(result: PipelineResult, options: PipelineOptions, wait: bool) -> dict[str, int] | None:
    _announce(result, options)
    if not (wait and getattr(result, "has_job", True)):
        return None
    state = result.wait_until_finish()
    if state != PipelineState.DONE:
        raise RunError(f"the pipeline ended as {state}; the runner's log says why")
    return counters_of(result)


def _announce(result: PipelineResult, options: PipelineOptions) -> None:
    """Note a Dataflow job, and print its id and the page to watch it on; other runners have none."""
    if getattr(result, "has_job", False):
        cloud = options.view_as(GoogleCloudOptions)
        page = (
            f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{result.job_id()}?project={cloud.project}"
        )
        submitted.append(DataflowJob(cloud.job_name, result.job_id(), page))
        print(f"Dataflow job {result.job_id()}\n  {page}", flush=True)


def _cancel(started: Sequence[PipelineResult]) -> None:
    """Cancel the job of a runner elsewhere, which would go on without the files that this process deletes."""
    for result in started:
        try:
            result.cancel()
        except Exception as error:
            _LOG.debug("could not cancel the job", exc_info=error)


def _in_worker_processes(options: PipelineOptions) -> bool:
    return options.view_as(DirectOptions).direct_running_mode == "multi_processing"


class _WorkerProcesses(FnApiRunner):
    """The in-process runner with worker processes of our own, which end with this process."""

    def __init__(self, file_of_run: Path) -> None:
        super().__init__()
        self._file_of_run = file_of_run

    def run_via_runner_api(
        self, pipeline_proto: beam_runner_api_pb2.Pipeline, options: PipelineOptions
    ) -> PipelineResult:
        command = [sys.executable, worker_process.__file__]
        if self._file_of_run.exists():
            command += ["--file_of_run", str(self._file_of_run)]
        if worker_tracebacks.wanted():
            command.append("--tracebacks")
        for environment in pipeline_proto.components.environments.values():
            if environment.urn == python_urns.SUBPROCESS_SDK:
                environment.payload = shlex.join(command).encode()
        return super().run_via_runner_api(pipeline_proto, options)


def _translate(error: Exception) -> Exception:
    """The error that a user sees: one line."""
    text = str(error)
    if isinstance(error, InputError):
        return InputError(text.partition(" [while running")[0])
    found = re.search(r"InputError: (.*?)(?: \[while running|\n|$)", text)
    if found:
        return InputError(found[1])
    lines = [line for line in text.strip().splitlines() if line.strip()]
    said = lines[-1].strip() if lines else type(error).__name__
    return RunError(f"the pipeline failed: {said}; --log_level debug shows where")
