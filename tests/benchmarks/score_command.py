"""`python -m beam_jobs.score` as a process of its own, held to some cores and measured from outside."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_jobs.run import RunReport
from tests.benchmarks.command_measurement import Measurement, measure_command
from tests.benchmarks.scoring import DATE, Job

FIRST_FILES = ("_staging/*/run_date=*/part-*.parquet", "recommendations/run_date=*/part-*.parquet")
"""Where the rows of a part appear: first in staging, then published."""


@dataclass(frozen=True)
class Command:
    """A way to run the command."""

    flags: Sequence[str]
    """Beam's flags."""
    cores: int
    """How many cores of the machine it may use."""

    @classmethod
    def processes(cls, count: int) -> Command:
        """Worker processes of one thread and one core each, as on a cluster."""
        return cls(["--direct_running_mode=multi_processing", f"--direct_num_workers={count}"], count)

    @classmethod
    def threads(cls, count: int) -> Command:
        """Worker threads in one process."""
        return cls(["--direct_running_mode=multi_threading", f"--direct_num_workers={count}"], count)


@dataclass(frozen=True)
class CommandRun:
    """The result of one run."""

    measurement: Measurement
    scoring_seconds: float
    """From the start of the first part to the end of the last. Parts are audited meanwhile."""
    pairs: int
    rows: int

    @property
    def pairs_a_second(self) -> float:
        """The rate of scoring, without the start of the command."""
        return self.pairs / self.scoring_seconds


def run(job: Job, how: Command, on: Sequence[int]) -> CommandRun:
    """Run the command to its end on the first of the cores `on`, and delete what it wrote.

    Raises:
      RuntimeError: the command failed.
    """
    with tempfile.TemporaryDirectory(dir=job.users.parent) as output:
        command = [sys.executable, "-m", "beam_jobs.score", *job.flags(Path(output)), *how.flags]
        measurement = measure_command(command, on[: how.cores], Path(output), FIRST_FILES)
        report = RunReport.read(str(Path(output) / "recommendations" / f"run_date={DATE}"))
    counters = report.counters
    return CommandRun(measurement, report.seconds["score"], counters["pairs_scored"], counters["rows_written"])
