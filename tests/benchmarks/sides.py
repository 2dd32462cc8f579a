"""Sides of a comparison: each in a process of its own, taken in turn, and rates as slopes between two sizes."""

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
    """Opens when as many processes as there are wait at it."""

    folder: Path
    parties: int

    def wait(self) -> None:
        """Come to the gate and wait for the others."""
        (self.folder / str(os.getpid())).touch()
        while len(list(self.folder.iterdir())) < self.parties:
            time.sleep(0.002)


def in_new_process(function: Callable[..., Any], *args: Any, on: Sequence[int] | None = None) -> Any:
    """Call in a process of its own, so that no side finds TensorFlow set up in another's way.

    `on` names the cores that the process may use, from its very start; None for all.
    """
    with _pool(on) as pool:
        return pool.submit(function, *args).result()


def at_once(function: Callable[..., Any], *args: Any) -> list[Any]:
    """Call `function(gate, *args)` in a process on each core, all of which wait at the gate until all are ready."""
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
    """A process that is started meanwhile inherits the cores, so libraries that count them find so many."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, some)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def in_turn(sides: Mapping[str, Callable[[], Sequence[float]]], turns: int) -> dict[str, list[float]]:
    """Call every side, then every side again, so that a slow minute of the machine is no side's alone.

    Args:
      sides: by name, what returns seconds, one for each size, always as many.
      turns: how often.

    Returns:
      By name, the least seconds of each size.
    """
    best: dict[str, list[float]] = {}
    for turn in range(turns):
        for name, measure in sides.items():
            seconds = list(measure())
            print(f"  turn {turn + 1}, {name}: {', '.join(f'{second:.4g} s' for second in seconds)}", flush=True)
            best[name] = [min(pair) for pair in zip(best.get(name, seconds), seconds, strict=True)]
    return best


def slope(work: Sequence[float], seconds: Sequence[float]) -> float:
    """Work a second between the first size and the last, so that what is paid once is in neither.

    Not a number where the larger size took no longer: such a run is too short to say anything.
    """
    more_work, more_seconds = work[-1] - work[0], seconds[-1] - seconds[0]
    return more_work / more_seconds if more_seconds > 0 else math.nan
