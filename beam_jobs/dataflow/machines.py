"""Machine types of Compute Engine, and how many processes and threads of a job fit on one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from model.cli import InputError

DEFAULT = "n2-standard-4"
"""Four cores and 16 GiB. It has AVX-512 for the model's matrix products, and 4 GiB a core, so that each process holds a
model of up to 1.2 GiB. It is small: a machine that dies loses little work, and the autoscaler has fine steps."""

PROCESS_GIB = 1.0
"""Memory of a Python worker without a model: TensorFlow, Beam and Arrow take 0.6, a block of users and scores 0.2."""
MODEL_FACTOR = 2.5
"""Memory of a loaded model, as a multiple of its files: the variables, their copy while they are read, the graph."""
THREADS = 2
"""Bundles that a process works on at a time: it scores one while it reads or writes another. More bundles would each
hold a block of scores and wait for the same core."""
ONE_PROCESS = "no_use_multiple_sdk_containers"
"""The experiment that makes a machine run one process with all cores (see `beam_jobs.pipeline.parallelism`)."""

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
_CORES_A_GPU = 12
"""Cores of an a2 machine for each of its GPUs. The name of an a2 machine has the number of GPUs, not of cores."""


@dataclass(frozen=True)
class Machine:
    """A machine type."""

    name: str
    family: str
    cores: int
    gib: float

    @classmethod
    def parse(cls, name: str) -> Machine:
        """Look up a machine type by its name. Raises InputError if the name is not known here."""
        custom, predefined = _CUSTOM.fullmatch(name), _PREDEFINED.fullmatch(name)
        if custom and int(custom[2]):
            return cls(name, custom[1] or "n1", int(custom[2]), int(custom[3]) / 1024)
        if predefined and predefined[1] in _FAMILIES:
            family, kind, cores = predefined[1], predefined[2], int(predefined[3])
            per_core = (_GIB_A_CORE | _OF_FAMILY.get(family, {})).get(kind)
            if per_core and cores:
                cores *= _CORES_A_GPU if family == "a2" else 1
                return cls(name, family, cores, cores * per_core)
        raise InputError(
            f"{name}: not a machine type known here; write it like {DEFAULT}, n2-highmem-8, "
            "e2-standard-4 or n2-custom-4-32768"
        )


@dataclass(frozen=True)
class WorkerSize:
    """How many processes and threads a worker runs."""

    machine: Machine
    processes: int
    threads: int
    """Bundles that each process works on at a time."""
    gib: float
    """Memory of all processes together."""

    def flags(self) -> list[str]:
        """The size as Beam's flags."""
        one = [f"--experiments={ONE_PROCESS}"] if self.processes == 1 and self.machine.cores > 1 else []
        return [f"--number_of_worker_harness_threads={self.threads}", *one]

    def __str__(self) -> str:
        processes = "one process" if self.processes == 1 else f"{self.processes} processes"
        return (
            f"{self.machine.name}: {processes} x {self.threads} threads, "
            f"about {self.gib:.1f} of {self.machine.gib:g} GiB"
        )


def size_worker(machine: Machine, model_bytes: int, one_process: bool = False) -> WorkerSize:
    """Choose processes and threads for a model of this size.

    By default a worker runs a process for each core. Each process has its own copy of the model and one thread inside
    TensorFlow, so that Python code between calls of the model waits for no interpreter lock. Where the memory does not
    hold a copy for each core, a worker runs one process with all cores.

    Args:
      machine: the machine type of a worker.
      model_bytes: the size of the model's files; 0 for a job that loads no model.
      one_process: run one process in any case, because processes cannot share a GPU.

    Raises:
      InputError: the memory does not hold even one process.
    """
    each = PROCESS_GIB + MODEL_FACTOR * model_bytes / 2**30
    processes = 1 if one_process or each * machine.cores > machine.gib else machine.cores
    if each > machine.gib:
        raise InputError(
            f"{machine.name}: has {machine.gib:g} GiB, and a process needs about {each:.1f} with this model; "
            f"choose a larger machine, such as {_larger(each)}"
        )
    return WorkerSize(machine, processes, THREADS, each * processes)


def _larger(gib: float) -> str:
    sizes = (2, 4, 8, 16, 32, 48, 64, 80, 96, 128)
    cores = next((size for size in sizes if size * _GIB_A_CORE["highmem"] >= gib), sizes[-1])
    return f"n2-highmem-{cores}"
