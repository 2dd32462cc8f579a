"""Machine types, against the sizes that Google documents, and what fits on them."""

from __future__ import annotations

import pytest

from beam_jobs.dataflow import machines
from beam_jobs.dataflow.machines import Machine, size_worker
from model.cli import InputError

GIB = 2**30


@pytest.mark.parametrize(
    ("name", "cores", "gib"),
    [
        ("n1-standard-4", 4, 15),
        ("n1-highmem-8", 8, 52),
        ("n1-highcpu-16", 16, 14.4),
        ("n2-standard-4", 4, 16),
        ("n2d-highmem-2", 2, 16),
        ("n2-highcpu-32", 32, 32),
        ("e2-standard-8", 8, 32),
        ("c2-standard-60", 60, 240),
        ("c3-highcpu-22", 22, 44),
        ("c3-highmem-44", 44, 352),
        ("t2d-standard-1", 1, 4),
        ("g2-standard-12", 12, 48),
        ("a2-highgpu-2g", 24, 170),
        ("n2-custom-6-20480", 6, 20),
        ("custom-2-7680", 2, 7.5),
    ],
)
def test_cores_and_memory(name: str, cores: int, gib: float) -> None:
    machine = Machine.parse(name)
    assert (machine.cores, machine.gib) == (cores, pytest.approx(gib))


@pytest.mark.parametrize("name", ["n2-standart-4", "n2-standard", "n2-standard-0", "z9-standard-4", "big", ""])
def test_no_machine_type(name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name}: not a machine type .*n2-standard-4"):
        Machine.parse(name)


def test_a_small_model_is_in_a_process_for_every_core() -> None:
    size = size_worker(Machine.parse("n2-standard-4"), 1_000_000)
    assert size.processes == 4
    assert size.flags() == [f"--number_of_worker_harness_threads={machines.THREADS}"]


def test_the_default_machine_holds_what_its_docstring_says() -> None:
    machine = Machine.parse(machines.DEFAULT)
    assert size_worker(machine, int(1.2 * GIB)).processes == 4
    assert size_worker(machine, int(1.3 * GIB)).processes == 1


def test_a_large_model_is_in_one_process_with_all_cores() -> None:
    size = size_worker(Machine.parse("n2-standard-4"), 2 * GIB)
    assert size.processes == 1
    assert f"--experiments={machines.ONE_PROCESS}" in size.flags()
    assert size.gib == pytest.approx(6)


def test_processes_share_no_gpu() -> None:
    assert size_worker(Machine.parse("n1-standard-8"), 1, one_process=True).processes == 1


def test_a_machine_that_holds_no_model_is_refused_with_one_that_does() -> None:
    with pytest.raises(InputError, match=r"has 4 GiB.* 26\.0 .*n2-highmem-4") as caught:
        size_worker(Machine.parse("t2d-standard-1"), 10 * GIB)
    better = str(caught.value).rpartition(" ")[2]
    assert size_worker(Machine.parse(better), 10 * GIB).processes == 1
