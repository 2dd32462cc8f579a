"""Prism, Beam's own portable engine: job server and engine in one program.

`go install` builds it from Beam's Go module in the version of the Python SDK. `NIGHTRANK_PRISM` names a program to use
instead. The path is not searched, because a `prism` on it may well be another project's program.
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
"""The environment variable with a Prism to use instead of building one."""
SECONDS_TO_START = 30.0


@dataclass(frozen=True)
class Prism:
    """A running Prism."""

    flags: list[str]
    """The Beam flags of a job that is to run here."""
    processes: Processes


def find_program() -> Path:
    """The program: the one that `NIGHTRANK_PRISM` names, or else the one in the cache.

    Builds it into the cache if it is not there.

    Raises:
      InputError: the named program cannot be run, or Go is not on this machine.
      RunError: the build failed.
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
    """Run Prism as long as the block lasts. It starts a Python worker for each job. Logs go to `folder`.

    Raises:
      InputError: something that Prism needs is not on this machine.
      RunError: Prism did not start.
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
            # A job has one worker, so that worker may use all cores.
            "--experiments=no_use_multiple_sdk_containers",
        ]
        yield Prism(flags, processes)
