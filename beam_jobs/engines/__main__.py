r"""Start an engine and keep it running until told to stop.

    nightrank engines flink --folder runs/flink --flags_file runs/flink/flags &
    nightrank score ... $(cat runs/flink/flags)

It ends on SIGTERM, on Ctrl-C, when the process that started it has ended, or when the engine fails.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NoReturn, Protocol

from beam_jobs.engines import flink, prism
from beam_jobs.engines.processes import POLL_SECONDS, Processes
from model.cli import FlagParser, run


class Engine(Protocol):
    """An engine that runs jobs."""

    @property
    def flags(self) -> Sequence[str]:
        """The Beam flags of a job that is to run here."""

    @property
    def processes(self) -> Processes:
        """The processes that every job needs."""


ENGINES: dict[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "flink": flink.session_cluster,
    "prism": prism.server,
}

_TO_STOP = (signal.SIGTERM, signal.SIGINT)


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(
        prog="nightrank engines",
        description="Start a portable engine on this machine and keep it running.",
        example="nightrank engines flink --folder runs/flink --flags_file runs/flink/flags",
    )
    parser.add_argument("engine", choices=sorted(ENGINES), help="engine to start")
    parser.add_argument("--folder", required=True, type=Path, help="folder on a local disk for logs and scratch files")
    parser.add_argument(
        "--flags_file",
        required=True,
        type=Path,
        help="file that gets the Beam flags for jobs, one a line, once jobs can run",
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Start the engine, write the flags, wait, and stop the engine."""
    args = build_parser().parse_args(argv)
    parent = os.getppid()
    for number in _TO_STOP:
        signal.signal(number, _stop)
    args.flags_file.unlink(missing_ok=True)
    with ENGINES[args.engine](args.folder) as engine:
        write_flags(engine.flags, args.flags_file)
        try:
            while os.getppid() == parent:
                engine.processes.require_running()
                time.sleep(POLL_SECONDS)
        finally:
            args.flags_file.unlink(missing_ok=True)


def write_flags(flags: Sequence[str], path: Path) -> None:
    """Write flags, one a line. Whoever sees the file sees all of it."""
    partial = path.with_name(f".{path.name}-partial")
    partial.write_text("".join(f"{flag}\n" for flag in flags), encoding="utf-8")
    partial.replace(path)


def _stop(*_: object) -> NoReturn:
    """End this process with status 0 once its `with` blocks have ended. Further signals are ignored."""
    for number in _TO_STOP:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == "__main__":
    run(main)
