"""Fair comparison: each system in a process of its own, measured in turn, its rate a slope between two sizes."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.setting import cores


@dataclass(frozen=True)
class Gate:
    """A gate that opens when `parties` processes wait at it."""

    folder: Path
    parties: int

    def wait(self) -> None:
        """Wait until all processes are here."""
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < self.parties:
            time.sleep(0.002)


def in_new_process(function: Callable[..., Any], *args: Any, on: Sequence[int] | None = None) -> Any:
    """Call a function in a process of its own, so that no other has configured TensorFlow there.

    The process may use only the cores `on`, from its start; None stands for all cores.
    """
    with _pool(on) as pool:
        return pool.submit(function, *args).result()


def at_once(function: Callable[..., Any], *args: Any) -> list[Any]:
    """Call `function(gate, *args)` in one process on each core. The processes start together, through the gate."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        gate = Gate(Path(folder), len(cores()))
        waiting = []
        for core in cores():
            with _held_to([core]):
                waiting.append(stack.enter_context(_pool(None)).submit(function, gate, *args))
        return [future.result() for future in waiting]


@contextlib.contextmanager
def _pool(on: Sequence[int] | None) -> Iterator[ProcessPoolExecutor]:
    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool,
        _held_to(on) if on else contextlib.nullcontext(),
    ):
        yield pool


@contextlib.contextmanager
def _held_to(some: Sequence[int]) -> Iterator[None]:
    """Hold this process to some cores. A process that it starts inherits them, so libraries there count only these."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, some)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def in_turn(measurements: Mapping[str, Callable[[], Sequence[float]]], turns: int) -> dict[str, list[float]]:
    """Take every measurement, then each again, so that a slow minute of the machine does not hit one system alone.

    Args:
      measurements: functions by name. Each returns the seconds of each of its sizes.
      turns: how often to take each measurement.

    Returns:
      The least seconds of each size, by name.
    """
    best: dict[str, list[float]] = {}
    for turn in range(turns):
        for name, measure in measurements.items():
            seconds = list(measure())
            print(f"  turn {turn + 1}, {name}: {', '.join(f'{second:.4g} s' for second in seconds)}", flush=True)
            best[name] = [min(pair) for pair in zip(best.get(name, seconds), seconds, strict=True)]
    return best


def slope(work: Sequence[float], seconds: Sequence[float]) -> float:
    """The rate between the first size and the last, in work a second. Costs that arise once cancel out.

    NaN if the larger size took no longer: such a run is too short to show anything.
    """
    more_work, more_seconds = work[-1] - work[0], seconds[-1] - seconds[0]
    return more_work / more_seconds if more_seconds > 0 else math.nan
