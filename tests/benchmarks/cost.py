"""The cost of a night at sizes that no single machine can run: a model of the seconds, and Dataflow's prices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

VCPU_HOUR, GIB_HOUR, SHUFFLED_GIB = 0.056, 0.003557, 0.011
"""Dollars: Dataflow batch in us-central1, shuffle by the service. Look them up before you rely on a total."""
BYTES_A_USER = 12
"""Bytes of a user id in the audit's shuffle."""
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
    """The cores that worked."""
    seconds: float

    @property
    def pairs(self) -> int:
        """Users x titles."""
        return self.users * self.titles


@dataclass(frozen=True)
class CostModel:
    """The seconds of a run: `start + (pairs * a_pair + users * a_user) / cores`.

    A user's own cost is to read, write and audit. The audit runs beside scoring and shuffles only user ids.
    """

    a_pair: float
    a_user: float
    start: float = 0.0
    """Seconds of every run to load and compile. They do not matter in a night."""

    @classmethod
    def fit(cls, runs: Sequence[Run]) -> CostModel:
        """Fit by least squares of the relative error: short runs count as much as long ones. No cost is negative."""
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
        """The seconds of one core for all the work, without the start."""
        return users * titles * self.a_pair + users * self.a_user

    def predict(self, users: int, titles: int, cores: int) -> float:
        """The seconds of a run on `cores` cores."""
        return self.start + self.core_seconds(users, titles) / cores


@dataclass(frozen=True)
class Night:
    """The predicted cost of a run on Dataflow."""

    machine: str
    vcpu_hours: float
    """Billed hours. They include the start of the machines."""
    dollars: float
    machines: int
    """Machines needed to end within an hour of submission, start included."""


def predict_night(model: CostModel, users: int, titles: int, machine: str) -> Night:
    """Predict a night on as many machines as it takes to end within the hour."""
    vcpus, _ = MACHINES[machine]
    seconds = model.core_seconds(users, titles)
    machines = max(1, math.ceil(seconds / vcpus / (3_600 - START_SECONDS)))
    hours = (seconds + machines * vcpus * START_SECONDS) / 3_600
    shuffled = users * BYTES_A_USER / (1 << 30)
    return Night(machine, hours, hours * dollars_a_vcpu_hour(machine) + shuffled * SHUFFLED_GIB, machines)


def dollars_a_vcpu_hour(machine: str) -> float:
    """The price of a vCPU-hour, with the memory that belongs to the vCPU."""
    vcpus, memory = MACHINES[machine]
    return VCPU_HOUR + GIB_HOUR * memory / vcpus


def a_billion_pairs(model: CostModel, titles: int, machine: str) -> tuple[float, float]:
    """The vCPU-seconds and dollars of a billion pairs in a catalogue of `titles` titles, without starts."""
    seconds = 1e9 * (model.a_pair + model.a_user / titles)
    return seconds, seconds / 3_600 * dollars_a_vcpu_hour(machine)
