"""The flags of a job: its own, and all others as Beam's options."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import io
import os
from collections.abc import Sequence

from apache_beam.internal.gcp import auth
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
from apache_beam.runners.runner import create_runner

from beam_jobs.pipeline.parallelism import IN_PROCESS_RUNNER, threads_a_process, use_all_cores
from model.cli import FlagParser, InputError

_IN_PROCESS_NAMES = {"", "direct", "directrunner", "switchingdirectrunner", "fnapi", "fnapirunner"}
_DATAFLOW_NAMES = {"dataflow", "dataflowrunner"}


def add_no_wait(parser: argparse.ArgumentParser) -> None:
    """Add `--no_wait`."""
    parser.add_argument("--no_wait", action="store_true", help="end when the job is submitted; it goes on by itself")


def add_run_date(parser: argparse.ArgumentParser) -> None:
    """Add `--run_date`."""
    parser.add_argument("--run_date", help="YYYY-MM-DD, the partition that is written; today in UTC by default")


def parse_flags(parser: FlagParser, argv: Sequence[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """Parse a command line into the job's own flags and, from all other words, Beam's options.

    Raises:
      InputError: a flag is wrong, or neither the job nor Beam knows it.
    """
    args, rest = parser.parse_known_args(argv)
    complaints = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaints):
            options = PipelineOptions(rest)
            standard = options.view_as(StandardOptions)
            runner = (standard.runner or "").lower()
            # A portable runner may take options that Beam in Python does not know.
            if runner in _IN_PROCESS_NAMES | _DATAFLOW_NAMES:
                options.get_all_options(
                    add_extra_args_fn=lambda beam_parser: _refuse_unknown(rest, beam_parser, parser)
                )
    except SystemExit:
        # Beam's parser prints what is wrong last, and exits.
        complaint = complaints.getvalue().strip().rpartition("error: ")[2]
        raise InputError(f"{complaint}; see {parser.prog} --help") from None
    if runner in _IN_PROCESS_NAMES:
        standard.runner = IN_PROCESS_RUNNER
        if not any(word.startswith("--direct_") for word in rest):
            use_all_cores(options)
        if threads_a_process(options) == 1:
            # The C library reads this when a worker process starts. Threads cannot use memory that is free in another
            # thread's arena, so a worker with several arenas grows by all the data that it carries.
            os.environ.setdefault("MALLOC_ARENA_MAX", "1")
    _connect(options)
    _check_runner(options)
    return args, options


def _connect(options: PipelineOptions) -> None:
    """Tell Beam's filesystems the options now. Otherwise they learn them from the first pipeline, after all checks.

    Beam's client of gs:// ignores `--no_auth` and looks for credentials for half a minute. It stops looking only once
    this private mark says that it has looked (`apache_beam.internal.gcp.auth`); no option sets it.
    """
    FileSystems.set_options(options)
    if options.view_as(GoogleCloudOptions).no_auth:
        auth._Credentials._credentials_init = True


def _refuse_unknown(rest: Sequence[str], beam_parser: argparse.ArgumentParser, ours: FlagParser) -> None:
    """Raises InputError for the first word of `rest` that Beam's parser does not know."""
    _, unknown = beam_parser.parse_known_args(rest)
    if not unknown:
        return
    word = unknown[0].partition("=")[0]
    # argparse has no public list of a parser's flags.
    known = [flag for parser in (ours, beam_parser) for action in parser._actions for flag in action.option_strings]
    close = difflib.get_close_matches(word, known, 1)
    meant = f"; did you mean {close[0]}?" if close else f"; see {ours.prog} --help"
    raise InputError(f"{word} is a flag of neither this job nor Beam{meant}")


def _check_runner(options: PipelineOptions) -> None:
    """Raises InputError for a runner that does not exist or lacks options, which `beam.Pipeline` would refuse later."""
    name = options.view_as(StandardOptions).runner
    try:
        complaints = PipelineOptionsValidator(options, create_runner(name)).validate()
    except (ImportError, AttributeError, ValueError) as error:
        raise InputError(f"--runner {name}: {error}") from None
    if complaints:
        raise InputError(f"--runner {name}: {' '.join(complaint.strip() for complaint in complaints)}")
