r"""Start an engine and keep it until told to stop.

    python -m beam_jobs.engines flink --folder runs/flink --flags_file runs/flink/flags &
    python -m beam_jobs.score ... $(cat runs/flink/flags)

Ends on SIGTERM, on Ctrl-C, when the process that started it has ended, or when the engine fails.
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
    """What runs jobs."""

    @property
    def flags(self) -> Sequence[str]:
        """For Beam jobs."""

    @property
    def processes(self) -> Processes:
        """Those without which no job can go on."""


ENGINES: dict[str, Callable[[Path], AbstractContextManager[Engine]]] = {
    "flink": flink.session_cluster,
    "prism": prism.server,
}

_TO_STOP = (signal.SIGTERM, signal.SIGINT)


def build_parser() -> FlagParser:
    """The flags of this command."""
    parser = FlagParser(prog="python -m beam_jobs.engines", description="Start a portable engine on this machine.")
    parser.add_argument("engine", choices=sorted(ENGINES), help="what to start")
    parser.add_argument("--folder", required=True, type=Path, help="gets logs and scratch files, on a local disk")
    parser.add_argument(
        "--flags_file", required=True, type=Path, help="gets the Beam flags for jobs, one a line, once jobs can be run"
    )
    return parser


def main(argv: Sequence[str]) -> None:
    """Start, write the flags, wait, stop."""
    args = build_parser().parse_args(argv)
    parent = os.getppid()
    for number in _TO_STOP:
        signal.signal(number, _stop)
    args.flags_file.unlink(missing_ok=True)
    with ENGINES[args.engine](args.folder) as engine:
        write_flags(engine.flags, args.flags_file)
        try:
            while os.getppid() == parent:
                engine.processes.check()
                time.sleep(POLL_SECONDS)
        finally:
            args.flags_file.unlink(missing_ok=True)


def write_flags(flags: Sequence[str], path: Path) -> None:
    """Write flags one a line; the file is complete as soon as it is there."""
    partial = path.with_name(f".{path.name}-partial")
    partial.write_text("".join(f"{flag}\n" for flag in flags), encoding="utf-8")
    partial.replace(path)


def _stop(*_: object) -> NoReturn:
    """End this process as one that is done, after its `with` blocks; what comes on top is too late to matter."""
    for number in _TO_STOP:
        signal.signal(number, signal.SIG_IGN)
    raise SystemExit(0)


if __name__ == "__main__":
    run(main)
