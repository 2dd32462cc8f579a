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

LAYERS = {
    "model": [
        {"contract", "cli", "progress"},
        {"tensorflow_start", "storage"},
        {"data"},
        {"metrics"},
        {"retrieval"},
        {"rankers"},
        {"evaluation"},
        {"artifact"},
        {"card"},
        {"dataset_flags"},
        {"train", "evaluate", "tune"},
    ],
    "beam_jobs": [
        {"io"},
        {"pipeline"},
        {"run"},
        {"users"},
        {"auditing"},
        {"publishing"},
        {"scoring"},
        {"prepare", "score", "audit", "publish", "summary"},
        {"dataflow", "engines", "local"},
        {"nightly"},
        {"__main__"},
    ],
}
"""The rooms and modules of each package from the lowest layer to the highest: imports go down only."""

CONTRACT = {
    "model.cli",
    "model.contract",
    "model.progress",
    "model.tensorflow_start",
    "model.artifact.model_json",
}
"""What any job may take from `model`: the standard library and small pure libraries alone are behind it."""
SMALL_LIBRARIES = {"rich"}
SOURCES = {"model.data.sources", "model.data.interactions", "model.dataset_flags"}
"""What `prepare` and the room behind it, which read datasets, take besides; Arrow is behind it."""
READERS = {"prepare", "users"}


def modules(package: str) -> Iterator[Path]:
    return (TOP / package).rglob("*.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")


def room_of(name: str) -> str:
    """The folder or module directly in the package that a dotted name belongs to; "" for the package itself."""
    return [*name.split("."), ""][1]


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


@pytest.mark.parametrize("package", LAYERS)
def test_every_room_has_its_layer(package: str) -> None:
    rooms = {room_of(name_of(path)) for path in modules(package)} - {""}
    assert rooms == set.union(*LAYERS[package])


@pytest.mark.parametrize("package", LAYERS)
def test_imports_go_down_only(package: str) -> None:
    level = {room: number for number, rooms in enumerate(LAYERS[package]) for room in rooms}
    wrong = []
    for path in modules(package):
        name = name_of(path)
        for other in imported(path):
            elsewhere = other.split(".")[0] == package and room_of(other) not in ("", room_of(name))
            if elsewhere and level[room_of(other)] >= level.get(room_of(name), 0):
                wrong.append(f"{name} imports {other}")
    assert not wrong


@pytest.mark.parametrize("package", LAYERS)
def test_no_imports_in_a_circle(package: str) -> None:
    """Inside a room too."""
    graph = {name_of(path): {n for n in imported(path) if n.split(".")[0] == package} for path in modules(package)}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " imports ".join((*above, name))
        if name not in done:
            for other in graph.get(name, ()):
                visit(other, (*above, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("package", LAYERS)
def test_few_modules_lie_directly_in_a_package(package: str) -> None:
    directly = [path.stem for path in (TOP / package).glob("*.py") if path.stem != "__init__"]
    assert len(directly) <= 12, directly


@pytest.mark.parametrize("path", list(modules("model")), ids=name_of)
def test_model_knows_no_beam(path: Path) -> None:
    assert not {name for name in imported(path) if name.split(".")[0] in ("beam_jobs", "apache_beam")}


@pytest.mark.parametrize("path", list(modules("beam_jobs")), ids=name_of)
def test_jobs_take_only_the_contract_from_model(path: Path) -> None:
    allowed = CONTRACT | (SOURCES if room_of(name_of(path)) in READERS else set())
    ours = {name for name in imported(path) if name.split(".")[0] == "model"}
    assert ours <= allowed


def test_the_contract_is_standard_library_and_small_libraries_alone() -> None:
    for name in CONTRACT:
        path = TOP.joinpath(*name.split(".")).with_suffix(".py")
        outside = {module.split(".")[0] for module in imported(path)} - set(sys.stdlib_module_names) - {"model"}
        assert outside <= SMALL_LIBRARIES, f"{name} imports {outside}"


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
    assert not {name for name in seen if name.startswith(("beam_jobs.scoring", "beam_jobs.score", "model.retrieval"))}
    assert not {name for name in seen if name.startswith("model.artifact")}


def test_importing_the_jobs_pulls_in_no_tensorflow_nor_training_libraries() -> None:
    script = (
        "import sys, beam_jobs.prepare, beam_jobs.score, beam_jobs.audit, beam_jobs.publish\n"
        "unwanted = 'tensorflow tensorflow_recommenders tf_keras keras tensorflow_datasets matplotlib scipy jinja2'\n"
        "print(sorted(set(unwanted.split()) & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(TOP)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
