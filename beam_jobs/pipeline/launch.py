"""What every job does around its pipeline: flags, runner, counters, errors."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone

import apache_beam as beam
from apache_beam.internal.gcp import auth
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    GoogleCloudOptions,
    PipelineOptions,
    StandardOptions,
)
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import PipelineResult, PipelineState, create_runner

from model.cli import FlagParser, InputError, RunError

NAMESPACE = "nightrank"
"""Of all our Beam metrics."""

ROWS_A_BATCH = 1 << 16
"""Recommendations made, and written as a row group, or checked, at a time, by a process of one thread."""
USERS_A_BATCH = (64, 1 << 14)
"""At least and at most."""

IN_PROCESS_RUNNER = "FnApiRunner"
"""Where DirectRunner ends on a batch pipeline, after trying to download another engine first."""


@dataclass(frozen=True)
class DataflowJob:
    """A job that Dataflow has accepted."""

    name: str
    job_id: str
    page: str
    """Where to watch it."""


submitted: list[DataflowJob] = []
"""Every job that this process has submitted to Dataflow, in order."""

_IN_PROCESS_NAMES = {"", "direct", "directrunner", "switchingdirectrunner", "fnapi", "fnapirunner"}
_DATAFLOW_NAMES = {"dataflow", "dataflowrunner"}


def parse(parser: FlagParser, argv: Sequence[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """The job's own flags, and Beam's options made of all the others.

    Raises:
      InputError: a flag is wrong, or known neither to the job nor to Beam.
    """
    args, rest = parser.parse_known_args(argv)
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            options = PipelineOptions(rest)
            standard = options.view_as(StandardOptions)
            runner = (standard.runner or "").lower()
            # A portable runner may take options that Beam's Python side has never heard of.
            if runner in _IN_PROCESS_NAMES | _DATAFLOW_NAMES:
                options.get_all_options(
                    add_extra_args_fn=lambda beam_parser: _refuse_unknown(rest, beam_parser, parser)
                )
    except SystemExit:
        # Beam's parser prints and exits; the last thing it says is what is wrong.
        complaint = complaints.getvalue().strip().rpartition("error: ")[2]
        raise InputError(f"{complaint}; see {parser.prog} --help") from None
    if runner in _IN_PROCESS_NAMES:
        standard.runner = IN_PROCESS_RUNNER
        if not any(word.startswith("--direct_") for word in rest):
            _use_all_cores(options)
        if threads_a_process(options) == 1:
            # Read by the C library when a worker process starts. What one arena of memory has free, the threads that
            # carry data cannot use of another, so that with more of them a worker grows by what it has carried.
            os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    _connect(options)
    _check_runner(options)
    return args, options


def threads_a_process(options: PipelineOptions) -> int | None:
    """Cores for each worker process, so that processes x threads = cores; None for all that the process finds.

    On a cluster a machine runs a process a core, unless the experiment `no_use_multiple_sdk_containers` says that it
    runs one, for a model of which a machine holds no second copy.
    """
    if options.view_as(StandardOptions).runner != IN_PROCESS_RUNNER:
        one_process = options.view_as(DebugOptions).lookup_experiment("no_use_multiple_sdk_containers")
        return None if one_process else 1
    direct = options.view_as(DirectOptions)
    processes = (direct.direct_num_workers or _cores()) if direct.direct_running_mode == "multi_processing" else 1
    return max(1, _cores() // processes)


def users_a_batch(top_n: int, threads: int | None) -> int:
    """How many users with `top_n` recommendations each a process of so many threads works on at a time.

    Of processes with one thread a machine runs many, and each is to take little memory. In one with several threads
    these wait for each other around every call, so that there are to be few calls.

    A power of two, as rows of a group and the model's blocks are, so that none is cut in unequal pieces; and the same
    for whoever writes recommendations and whoever reads them, as they lie in row groups of a batch.
    """
    least, most = USERS_A_BATCH
    users = max(1, ROWS_A_BATCH * (1 if threads == 1 else 4) // top_n)
    return min(max(least, 1 << users.bit_length() - 1), most)


def _use_all_cores(options: PipelineOptions) -> None:
    """Run in process on a thread more than there are cores: some read and write while another's model call computes.

    They share one model, and what is started with a process is started once. With no more threads than cores, a tenth
    of the cores' time passes while these wait for each other.
    """
    if _cores() > 1:
        direct = options.view_as(DirectOptions)
        direct.direct_running_mode, direct.direct_num_workers = "multi_threading", _cores() + 1


def _cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    counters: dict[str, int] = {}
    for metric in result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]:
        name = metric.key.metric.name
        counters[name] = counters.get(name, 0) + (
            metric.committed if metric.committed is not None else metric.attempted
        )
    return counters


def add_no_wait(parser: argparse.ArgumentParser) -> None:
    """Add `--no_wait`."""
    parser.add_argument("--no_wait", action="store_true", help="end when the job is submitted; it goes on by itself")


def add_counts(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Add the counts of `more` to `total`."""
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def count(counts: Mapping[str, int]) -> None:
    """Add to counters; called on workers, once a block rather than once a row."""
    for name, value in counts.items():
        Metrics.counter(NAMESPACE, name).inc(value)


def today(now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)) -> str:
    """The date in UTC as YYYY-MM-DD."""
    return now().date().isoformat()


def add_run_date(parser: argparse.ArgumentParser) -> None:
    """Add `--run_date`."""
    parser.add_argument("--run_date", help="YYYY-MM-DD, the partition that is written; today in UTC by default")


def parse_run_date(text: str | None, today: Callable[[], str] = today) -> str:
    """A date checked; today where there is none. Raises InputError for anything but YYYY-MM-DD."""
    if text is None:
        return today()
    try:
        parsed = date.fromisoformat(text)
    except ValueError:
        parsed = None
    # Python 3.11 and later take other ISO forms too, under which a reader would not find the partition.
    if parsed is None or parsed.isoformat() != text:
        raise InputError(f"--run_date {text}: not a date; write it as YYYY-MM-DD, such as {today()}")
    return text


def _connect(options: PipelineOptions) -> None:
    """Tell Beam's filesystems the options, which else they learn from the first pipeline, after all checks.

    Beam's client of gs:// passes over `--no_auth` and looks for credentials for half a minute (`internal.gcp.auth`),
    unless that believes to have looked already.
    """
    FileSystems.set_options(options)
    if options.view_as(GoogleCloudOptions).no_auth:
        auth._Credentials._credentials_init = True


def _announce(result: PipelineResult, options: PipelineOptions) -> None:
    """Note a Dataflow job, and say its id and the page to watch it on; other runners have none."""
    if getattr(result, "has_job", False):
        cloud = options.view_as(GoogleCloudOptions)
        page = (
            f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{result.job_id()}?project={cloud.project}"
        )
        submitted.append(DataflowJob(cloud.job_name, result.job_id(), page))
        print(f"Dataflow job {result.job_id()}\n  {page}", flush=True)


def _refuse_unknown(rest: Sequence[str], beam_parser: argparse.ArgumentParser, ours: FlagParser) -> None:
    """Raises InputError for a word that is left of `rest` when Beam's parser has taken what it knows."""
    _, unknown = beam_parser.parse_known_args(rest)
    if not unknown:
        return
    word = unknown[0].partition("=")[0]
    known = [flag for parser in (ours, beam_parser) for action in parser._actions for flag in action.option_strings]
    close = difflib.get_close_matches(word, known, 1)
    meant = f"; did you mean {close[0]}?" if close else f"; see {ours.prog} --help"
    raise InputError(f"{word} is a flag of neither this job nor Beam{meant}")


def _check_runner(options: PipelineOptions) -> None:
    """Raises InputError for what `beam.Pipeline` would refuse later: no such runner, or not the options it needs."""
    name = options.view_as(StandardOptions).runner
    try:
        complaints = PipelineOptionsValidator(options, create_runner(name)).validate()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--runner {name}: {error}") from None
    if complaints:
        raise InputError(f"--runner {name}: {' '.join(complaint.strip() for complaint in complaints)}")


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
