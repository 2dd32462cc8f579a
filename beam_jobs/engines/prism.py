"""Prism, Beam's own portable engine: one program that is job server and engine in one.

It comes from Beam's Go module in the version of the Python SDK, built by `go install`; `NIGHTRANK_PRISM` names a
program to use instead. None is looked for on the path, where `prism` is as likely another project's program.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from beam_jobs.engines import cache, workers
from beam_jobs.engines.processes import Processes, free_ports, listens
from model.cli import InputError

MODULE = "github.com/apache/beam/sdks/v2/go/cmd/prism"
PROGRAM = "NIGHTRANK_PRISM"
"""The environment variable."""
SECONDS_TO_START = 30.0


@dataclass(frozen=True)
class Prism:
    """A running Prism."""

    flags: list[str]
    """For Beam jobs."""
    processes: Processes


def find_program() -> Path:
    """The program: the one that is named, or the one in the cache, or built into the cache.

    Raises:
      InputError: the one that is named cannot be run, or there is no Go to build with.
      RunError: it could not be built.
    """
    named = os.environ.get(PROGRAM)
    if named:
        if not os.access(named, os.X_OK) or Path(named).is_dir():
            raise InputError(f"{PROGRAM}={named}: no program that can be run; name Beam's prism, or unset it")
        return Path(named)
    version = metadata.version("apache-beam")

    def build(folder: Path) -> None:
        cache.download(
            ["go", "install", f"{MODULE}@v{version}"],
            f"Prism {version}",
            f"install Go, or name a prism program with {PROGRAM}=...",
            {"GOBIN": str(folder)},
        )

    return cache.keep(f"prism-{version}", build) / "prism"


@contextlib.contextmanager
def server(folder: Path) -> Iterator[Prism]:
    """Prism, as long as the block lasts; it starts a Python worker for a job. Logs go to `folder`.

    Raises:
      InputError: something that it needs is not on this machine.
      RunError: it did not start.
    """
    program = find_program()
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    [job_port] = free_ports(1)
    with Processes(folder) as processes:
        processes.start("prism", [str(program), f"--job_port={job_port}", "--serve_http=false", "--log_kind=text"])
        processes.wait_until("Prism listened", lambda: listens(job_port), SECONDS_TO_START)
        flags = [
            "--runner=PortableRunner",
            f"--job_endpoint=localhost:{job_port}",
            *workers.write_program(folder),
            # One worker for a job, which may therefore use all cores.
            "--experiments=no_use_multiple_sdk_containers",
        ]
        yield Prism(flags, processes)
