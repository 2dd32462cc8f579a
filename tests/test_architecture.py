"""Imports go one way, and what a worker runs pulls in nothing that a worker does not have."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
CONTRACT = {"model.cli", "model.contract", "model.tensorflow_start", "model.artifact.model_json"}
"""What any job may take from `model`: the standard library and nothing else is behind it."""
SOURCES = {"model.data.sources", "model.data.interactions"}
"""What the modules of `prepare`, which reads datasets, take besides; Arrow is behind it."""
READERS = {"prepare", "preparing", "source"}


def modules(package: str) -> Iterator[Path]:
    return (TOP / package).rglob("*.py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, wherever in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            # `from package import module` and `from module import name` look alike; a folder or file tells them apart.
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                place = TOP.joinpath(*whole.split("."))
                names.add(whole if place.is_dir() or place.with_suffix(".py").is_file() else node.module)
    return names


@pytest.mark.parametrize("path", list(modules("model")), ids=lambda path: path.stem)
def test_model_knows_no_beam(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] in ("beam_jobs", "apache_beam")}


@pytest.mark.parametrize("path", list(modules("beam_jobs")), ids=lambda path: path.stem)
def test_jobs_take_only_the_contract_from_model(path: Path) -> None:
    allowed = CONTRACT | (SOURCES if path.stem in READERS else set())
    ours = {name for name in imported(path) if name.split(".")[0] == "model"}
    assert ours <= allowed


def test_the_contract_is_standard_library_alone() -> None:
    for name in CONTRACT:
        path = TOP.joinpath(*name.split(".")).with_suffix(".py")
        outside = {module.split(".")[0] for module in imported(path)} - set(sys.stdlib_module_names) - {"model"}
        assert not outside, f"{name} imports {outside}"


def test_the_audit_is_an_independent_witness() -> None:
    """Neither what it checks nor the model is behind it."""
    seen: set[str] = set()
    waiting = ["beam_jobs.audit"]
    while waiting:
        name = waiting.pop()
        seen.add(name)
        path = TOP.joinpath(*name.split(".")).with_suffix(".py")
        if path.is_file():
            waiting += [other for other in imported(path) if other.split(".")[0] in ("beam_jobs", "model")]
            waiting = [other for other in waiting if other not in seen]
    assert "beam_jobs.io.storage" in seen
    assert not seen & {
        "beam_jobs.score",
        "beam_jobs.scoring.loaded_model",
        "beam_jobs.scoring.recommendations",
        "model.retrieval.signatures",
    }


def test_importing_the_jobs_pulls_in_no_tensorflow_nor_training_libraries() -> None:
    script = (
        "import sys, beam_jobs.prepare, beam_jobs.score, beam_jobs.audit, beam_jobs.publish\n"
        "unwanted = 'tensorflow tensorflow_recommenders tf_keras keras tensorflow_datasets matplotlib'\n"
        "print(sorted(set(unwanted.split()) & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
