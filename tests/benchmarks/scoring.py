"""`beam_jobs.score` end to end, and its kernel, the `recommend` signature, alone."""

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
from tests.benchmarks.setting import cores
from tests.benchmarks.sides import Gate

DATE = "2024-01-01"


@dataclass(frozen=True)
class Job:
    """What one run of the command scores."""

    model: Path
    users: Path
    candidates: Path
    top_n: int = inputs.TOP_N

    def flags(self, output: Path) -> list[str]:
        """Of the command."""
        named = {"model": self.model, "users": self.users, "candidates": self.candidates, "output": output}
        return [f"--{name}={value}" for name, value in named.items()] + [f"--top_n={self.top_n}", f"--run_date={DATE}"]


def time_score(warm_up: Job, jobs: Sequence[Job], flags: Sequence[str] = ()) -> list[float]:
    """Seconds of the whole command (check, score, audit, publish) for each job, after a run that is not timed.

    With more `flags`, such as `--stage_only`, of what is left of it.

    All in this process, which imports and compiles once. As it is by default, the command works on all cores that
    there are, with a thread each.
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
    """Pairs a second of calls of `recommend` for so many users who have seen nothing, at the median call.

    Calls are made for so many seconds, three at least, after one that is not timed.
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
    """`int32[users, k]`, what the kernel finds for the first users."""
    from beam_jobs.scoring.loaded_model import Ranker

    ranker = Ranker(model, threads=len(cores()))
    ids = ranker.strings(pa.array([f"user {number}" for number in range(users)]))
    titles = ranker.strings(pa.array(inputs.titles(candidates)))
    return ranker.recommend(ids, titles, np.empty(0, np.int32), np.zeros(users + 1, np.int64), k).index
