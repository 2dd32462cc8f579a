"""Machine types of Compute Engine, and how many processes and threads of a job one of them carries."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.cli import InputError

DEFAULT = "n2-standard-4"
"""Four cores and 16 GiB: AVX-512 for the model's matrix products, 4 GiB a core for a model of up to 1.2 GiB in every
process, and small enough that a machine that dies takes little work with it and that the autoscaler has fine steps."""

PROCESS_GIB = 1.0
"""What a Python worker takes without a model: TensorFlow, Beam and Arrow 0.6, a block of users and its scores 0.2."""
MODEL_FACTOR = 2.5
"""Memory of a loaded model in sizes of its files: the variables, and once more while they are read, and the graph."""
THREADS = 2
"""Bundles that a process works on at a time: one is scored while another is read or written. More of them would hold
a block of scores each and wait for the same core."""
ONE_PROCESS = "no_use_multiple_sdk_containers"
"""The experiment by which a machine runs one process, which gets all cores (`beam_jobs.pipeline.parallelism`)."""

_GIB_A_CORE = {"standard": 4.0, "highmem": 8.0, "highcpu": 1.0}
_OF_FAMILY = {
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    "c3": {"highcpu": 2.0},
    "c3d": {"highcpu": 2.0},
    "c4": {"standard": 3.75, "highmem": 7.75, "highcpu": 2.0},
    "c4d": {"standard": 3.875, "highmem": 7.875, "highcpu": 1.875},
    "c4a": {"highcpu": 2.0},
    "n4": {"highcpu": 2.0},
    "a2": {"highgpu": 85 / 12, "ultragpu": 170 / 12},
}
_FAMILIES = ("n1", "n2", "n2d", "n4", "e2", "c2", "c2d", "c3", "c3d", "c4", "c4d", "c4a", "t2d", "t2a", "g2", "a2")
_PREDEFINED = re.compile(r"([a-z]\d[a-z]?)-([a-z]+)-(\d+)(?:g|-lssd)?")
_CUSTOM = re.compile(r"(?:([a-z]\d[a-z]?)-)?custom-(\d+)-(\d+)(?:-ext)?")
_ACCELERATOR_CORES = 12
"""Of an a2 machine for each accelerator, of which its name has the number."""


@dataclass(frozen=True)
class Machine:
    """A machine type."""

    name: str
    family: str
    cores: int
    gib: float

    @classmethod
    def parse(cls, name: str) -> Machine:
        """The machine type of this name. Raises InputError for a name of no type known here."""
        custom, predefined = _CUSTOM.fullmatch(name), _PREDEFINED.fullmatch(name)
        if custom and int(custom[2]):
            return cls(name, custom[1] or "n1", int(custom[2]), int(custom[3]) / 1024)
        if predefined and predefined[1] in _FAMILIES:
            family, kind, cores = predefined[1], predefined[2], int(predefined[3])
            per_core = (_GIB_A_CORE | _OF_FAMILY.get(family, {})).get(kind)
            if per_core and cores:
                cores *= _ACCELERATOR_CORES if family == "a2" else 1
                return cls(name, family, cores, cores * per_core)
        raise InputError(
            f"--worker_machine_type {name}: not a machine type known here; write it like {DEFAULT}, n2-highmem-8, "
            "e2-standard-4 or n2-custom-4-32768"
        )


@dataclass(frozen=True)
class Sizing:
    """How a machine is divided."""

    machine: Machine
    processes: int
    threads: int
    """Bundles at a time, each process."""
    gib: float
    """What all processes take."""

    def flags(self) -> list[str]:
        """For Beam."""
        one = [f"--experiments={ONE_PROCESS}"] if self.processes == 1 and self.machine.cores > 1 else []
        return [f"--number_of_worker_harness_threads={self.threads}", *one]

    def __str__(self) -> str:
        processes = "one process" if self.processes == 1 else f"{self.processes} processes"
        return (
            f"{self.machine.name}: {processes} x {self.threads} threads, "
            f"about {self.gib:.1f} of {self.machine.gib:g} GiB"
        )


def divide(machine: Machine, model_bytes: int, one_process: bool = False) -> Sizing:
    """Processes and threads for a model of this size.

    By default a process a core, each with a copy of the model and one thread inside TensorFlow: Python's own work,
    between calls of the model, then never waits for another's interpreter lock. Where a copy for every core does not
    fit the memory, or `one_process` asks for it because a graphics card cannot be shared, one process has the model
    and all cores.

    Args:
      machine: what a worker is.
      model_bytes: of the model's files; 0 for a job that loads none.
      one_process: whether there can be only one.

    Raises:
      InputError: not even one process fits.
    """
    each = PROCESS_GIB + MODEL_FACTOR * model_bytes / 2**30
    processes = 1 if one_process or each * machine.cores > machine.gib else machine.cores
    if each > machine.gib:
        raise InputError(
            f"--worker_machine_type {machine.name}: has {machine.gib:g} GiB, and a process needs about {each:.1f} with "
            f"this model; choose a larger machine, such as {_larger(machine, each)}"
        )
    return Sizing(machine, processes, THREADS, each * processes)


def _larger(machine: Machine, gib: float) -> str:
    sizes = (2, 4, 8, 16, 32, 48, 64, 80, 96, 128)
    cores = next((size for size in sizes if size * _GIB_A_CORE["highmem"] >= gib), sizes[-1])
    return f"n2-highmem-{cores}"
