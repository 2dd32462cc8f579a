"""Timing of `beam_jobs.score` end to end, and of its kernel, the `recommend` signature, alone."""

from __future__ import annotations

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from model.tensorflow_start import import_tensorflow
from tests.benchmarks import inputs
from tests.benchmarks.comparison import Gate, in_new_process
from tests.benchmarks.setting import Setting, cores

DATE = "2024-01-01"
WARM_UP = 256
"""Users of the run that is not timed."""


@dataclass(frozen=True)
class Job:
    """What one run of the command scores."""

    model: Path
    users: Path
    candidates: Path
    top_n: int = inputs.TOP_N

    def flags(self, output: Path) -> list[str]:
        """The flags of `beam_jobs.score` for this run."""
        named = {"model": self.model, "users": self.users, "candidates": self.candidates, "output": output}
        return [f"--{name}={value}" for name, value in named.items()] + [f"--top_n={self.top_n}", f"--run_date={DATE}"]


def score_seconds(
    setting: Setting, model: Path, users: Sequence[int], titles: int, flags: Sequence[str] = ()
) -> list[float]:
    """The seconds of `beam_jobs.score` for each number of users, in one process of its own."""
    warm_up, *timed = jobs(setting, model, [WARM_UP, *users], titles)
    seconds: list[float] = in_new_process(time_score, warm_up, timed, flags)
    return seconds


def jobs(setting: Setting, model: Path, users: Sequence[int], titles: int) -> list[Job]:
    """A run for each number of users. Its tables are written if they are not there yet."""
    return [
        Job(model, inputs.users_file(setting.scratch, count, titles), inputs.candidates_file(setting.scratch, titles))
        for count in users
    ]


def time_score(warm_up: Job, jobs: Sequence[Job], flags: Sequence[str] = ()) -> list[float]:
    """Time the whole command (check, score, audit, publish) for each job, after a run that is not timed.

    All runs are in this process, so that it imports and compiles once. The command uses all cores, as by default.

    Args:
      warm_up: the run that is not timed.
      jobs: the runs to time.
      flags: further flags of the command; `--stage_only` leaves out audit and publication.

    Returns:
      The seconds of each job.
    """
    import_tensorflow()
    from beam_jobs import score

    def run(job: Job) -> float:
        with tempfile.TemporaryDirectory(dir=job.users.parent) as output, contextlib.redirect_stdout(io.StringIO()):
            began = time.perf_counter()
            score.main([*job.flags(Path(output)), *flags])
            return time.perf_counter() - began

    run(warm_up)
    return [run(job) for job in jobs]


def kernel_rate(gate: Gate | None, model: Path, users: int, candidates: int, k: int, seconds: float) -> float:
    """Pairs a second of the median call of `recommend`, for `users` users who have seen nothing.

    After one call that is not timed, calls go on for `seconds`, but at least three are made.
    """
    from beam_jobs.scoring.loaded_model import Ranker

    ranker = Ranker(model, threads=len(cores()))
    ids = ranker.strings(pa.array([f"user {number}" for number in range(users)]))
    titles = ranker.strings(pa.array(inputs.titles(candidates)))
    nothing = np.empty(0, np.int32), np.zeros(users + 1, np.int64)
    ranker.recommend(ids, titles, *nothing, k)
    if gate:
        gate.wait()
    taken: list[float] = []
    while sum(taken) < seconds or len(taken) < 3:
        began = time.perf_counter()
        ranker.recommend(ids, titles, *nothing, k)
        taken.append(time.perf_counter() - began)
    return users * candidates / statistics.median(taken)


def kernel_answers(model: Path, users: int, candidates: int, k: int) -> np.ndarray:
    """The indices that `recommend` returns for the first users: `int32[users, k]`."""
    from beam_jobs.scoring.loaded_model import Ranker

    ranker = Ranker(model, threads=len(cores()))
    ids = ranker.strings(pa.array([f"user {number}" for number in range(users)]))
    titles = ranker.strings(pa.array(inputs.titles(candidates)))
    return ranker.recommend(ids, titles, np.empty(0, np.int32), np.zeros(users + 1, np.int64), k).index
