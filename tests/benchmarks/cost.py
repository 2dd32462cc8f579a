"""What a night costs at sizes that fit no single machine: a model of seconds, and Dataflow's prices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

VCPU_HOUR, GIB_HOUR, SHUFFLED_GIB = 0.056, 0.003557, 0.011
"""Dollars: Dataflow batch in us-central1, shuffle by the service. Look them up before you rely on a total."""
BYTES_A_USER = 12
"""Of an id in the audit's shuffle."""
START_SECONDS = 180
"""Dataflow takes two to four minutes from submission to the first bundle; workers are billed from their start."""
MACHINES = {"n2-standard-4": (4, 16), "n2-highcpu-8": (8, 8), "c3-standard-8": (8, 32), "t2d-standard-16": (16, 64)}
"""vCPUs and GiB of memory."""


@dataclass(frozen=True)
class Run:
    """One run of `beam_jobs.score`: its shape, and the seconds that scoring took from the first part to the last."""

    users: int
    titles: int
    cores: int
    """That worked."""
    seconds: float

    @property
    def pairs(self) -> int:
        """Users x titles."""
        return self.users * self.titles


@dataclass(frozen=True)
class CostModel:
    """Seconds of a core: `pairs * a_pair + users * a_user`, divided among cores that all work, after a `start`.

    What a user costs is reading, writing and auditing, which runs with scoring and shuffles ids alone.
    """

    a_pair: float
    a_user: float
    start: float = 0.0
    """Seconds of every run: loading and compiling, which a night does not notice."""

    @classmethod
    def fit(cls, runs: Sequence[Run]) -> CostModel:
        """Least squares of the relative error, so that short runs count as much as long ones; no cost below zero."""
        shapes = np.array([[run.pairs / run.cores, run.users / run.cores, 1.0] for run in runs])
        shapes /= np.array([[run.seconds] for run in runs])
        best, least = np.zeros(3), np.inf
        for some in itertools.chain.from_iterable(itertools.combinations(range(3), count) for count in (1, 2, 3)):
            found = np.linalg.lstsq(shapes[:, some], np.ones(len(runs)), rcond=None)[0]
            error = float(np.sum((shapes[:, some] @ found - 1) ** 2))
            if (found >= 0).all() and error < least - 1e-12:
                best, least = np.zeros(3), error
                best[list(some)] = found
        return cls(*map(float, best))

    def core_seconds(self, users: int, titles: int) -> float:
        """Of one core that does it all, started already."""
        return users * titles * self.a_pair + users * self.a_user

    def predict(self, users: int, titles: int, cores: int) -> float:
        """Seconds on so many cores."""
        return self.start + self.core_seconds(users, titles) / cores


@dataclass(frozen=True)
class Night:
    """A run on Dataflow."""

    machine: str
    vcpu_hours: float
    """Billed: the machines' start is counted."""
    dollars: float
    machines: int
    """That end within an hour of submission, their start counted."""


def predict_night(model: CostModel, users: int, titles: int, machine: str) -> Night:
    """On as many machines of a kind as end within the hour."""
    vcpus, _ = MACHINES[machine]
    seconds = model.core_seconds(users, titles)
    machines = max(1, math.ceil(seconds / vcpus / (3_600 - START_SECONDS)))
    hours = (seconds + machines * vcpus * START_SECONDS) / 3_600
    shuffled = users * BYTES_A_USER / (1 << 30)
    return Night(machine, hours, hours * dollars_a_vcpu_hour(machine) + shuffled * SHUFFLED_GIB, machines)


def dollars_a_vcpu_hour(machine: str) -> float:
    """With the memory that goes with a vCPU."""
    vcpus, memory = MACHINES[machine]
    return VCPU_HOUR + GIB_HOUR * memory / vcpus


def a_billion_pairs(model: CostModel, titles: int, machine: str) -> tuple[float, float]:
    """vCPU-seconds and dollars of a billion pairs in a catalogue of so many titles, starts left out."""
    seconds = 1e9 * (model.a_pair + model.a_user / titles)
    return seconds, seconds / 3_600 * dollars_a_vcpu_hour(machine)
