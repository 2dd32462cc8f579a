"""`python -m beam_jobs.score` as a command of its own, on some cores, watched."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_jobs.run import RunReport
from tests.benchmarks.scoring import DATE, Job
from tests.benchmarks.watched import Watched, watch

FIRST_FILES = ("_staging/*/run_date=*/part-*.parquet", "recommendations/run_date=*/part-*.parquet")
"""A part's rows, out of readers' sight and then in it."""


@dataclass(frozen=True)
class Command:
    """A way to run the command: Beam's flags, and how many of the machine's cores it may use."""

    flags: Sequence[str]
    cores: int

    @classmethod
    def processes(cls, count: int) -> Command:
        """Worker processes of one thread, each with a core, as a cluster has them."""
        return cls(["--direct_running_mode=multi_processing", f"--direct_num_workers={count}"], count)

    @classmethod
    def threads(cls, count: int) -> Command:
        """Worker threads in one process."""
        return cls(["--direct_running_mode=multi_threading", f"--direct_num_workers={count}"], count)


@dataclass(frozen=True)
class CommandRun:
    """What came of it."""

    watched: Watched
    scoring_seconds: float
    """From the begin of the first part to the end of the last; parts are audited meanwhile."""
    pairs: int
    rows: int

    @property
    def pairs_a_second(self) -> float:
        """Of scoring, without the command's start."""
        return self.pairs / self.scoring_seconds


def run(job: Job, how: Command, on: Sequence[int]) -> CommandRun:
    """Run it to its end; what it wrote is deleted.

    Raises:
      RuntimeError: it failed.
    """
    with tempfile.TemporaryDirectory(dir=job.users.parent) as output:
        command = [sys.executable, "-m", "beam_jobs.score", *job.flags(Path(output)), *how.flags]
        watched = watch(command, on[: how.cores], Path(output), FIRST_FILES)
        report = RunReport.read(str(Path(output) / "recommendations" / f"run_date={DATE}"))
    counters = report.counters
    return CommandRun(watched, report.seconds["score"], counters["pairs_scored"], counters["rows_written"])
