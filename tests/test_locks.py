"""The lock files: parts that fit together on every Python, each package by its hashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement

TOP = Path(__file__).parents[1]
PARTS = ("local", "gcp", "dev")
WORKER = TOP / "beam_jobs" / "dataflow" / "requirements.txt"
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def entries(lock: Path) -> list[str]:
    return re.findall(r"^\S.*\n(?:[ ]+.*\n)*", lock.read_text(encoding="utf-8"), re.MULTILINE)


def requirements(lock: Path) -> list[Requirement]:
    return [Requirement(entry.partition("\\")[0].strip()) for entry in entries(lock)]


def pins(lock: Path, python: str) -> list[tuple[str, str]]:
    """Name and version of what is installed on Linux with one version of CPython."""
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
    }
    fit = [r for r in requirements(lock) if r.marker is None or r.marker.evaluate(machine)]
    return [(requirement.name, str(requirement.specifier).removeprefix("==")) for requirement in fit]


@pytest.mark.parametrize("lock", [*(TOP / "locks").glob("*.txt"), WORKER], ids=lambda path: path.name)
def test_every_package_has_a_version_and_hashes_and_no_address(lock: Path) -> None:
    assert all(len(requirement.specifier) == 1 for requirement in requirements(lock))
    assert all(re.match(r"[\w.-]+==\S+.*\\\n    --hash=sha256:[0-9a-f]{64}", entry) for entry in entries(lock))
    assert "://" not in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize("python", PYTHONS)
def test_the_parts_agree_and_repeat_next_to_nothing(python: str) -> None:
    installed = [pin for part in PARTS for pin in pins(TOP / "locks" / f"{part}.txt", python)]
    assert len(installed) > 150
    assert len(set(installed)) == len(dict(installed))
    assert len(installed) - len(set(installed)) <= 2


@pytest.mark.parametrize("python", PYTHONS)
def test_the_main_job_needs_few_packages(python: str) -> None:
    local = dict(pins(TOP / "locks" / "local.txt", python))
    assert 70 < len(local) <= 85
    assert {"apache-beam", "tensorflow", "tensorflow-recommenders", "tensorflow-datasets"} <= local.keys()


@pytest.mark.parametrize("python", PYTHONS[1:])
def test_workers_have_the_versions_of_the_other_locks(python: str) -> None:
    here = {pin for part in PARTS for pin in pins(TOP / "locks" / f"{part}.txt", python)}
    cpu = dict(here)["tensorflow"]
    worker = pins(WORKER, python)
    assert ("tensorflow", cpu) in worker
    assert {name for name, _ in set(worker) - here} == {"libclang"}
