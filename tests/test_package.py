"""The package as users install it: what its wheel holds, what it declares, and what it runs."""

from __future__ import annotations

import ast
import email.parser
import os
import shutil
import site
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TOP = Path(__file__).parents[1]
PACKAGES = ("model", "beam_jobs")

DISTRIBUTIONS = {
    "apache_beam": "apache-beam",
    "google.api_core": "google-api-core",
    "google.auth": "google-auth",
    "google.cloud.dataflow_v1beta3": "google-cloud-dataflow-client",
    "google.cloud.storage": "google-cloud-storage",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "tensorflow_datasets": "tensorflow-datasets",
    "tensorflow_recommenders": "tensorflow-recommenders",
}
"""Of modules whose distribution has another name."""

ELSEWHERE = {"airflow": "airflow_dag.py is copied to where Airflow is installed"}
"""Modules that are imported and not declared, and why."""

UNSEEN = {
    "build": "Beam starts it",
    "importlib-resources": "tensorflow-datasets needs it without declaring it",
    "tensorboard": "tf.summary needs it",
    "tf-keras": "tensorflow-recommenders needs it where TF_USE_LEGACY_KERAS is set",
}
"""Distributions that are declared and not imported, and why."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, as building leaves files behind."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(TOP / name, copy / name)
    for name in PACKAGES:
        shutil.copytree(TOP / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", copy / "dist", copy]
    subprocess.run(build, check=True, capture_output=True)
    (built,) = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that has the wheel, and otherwise the packages of this one."""
    environment = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", environment], check=True, capture_output=True)
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    here = [*site.getsitepackages(), sysconfig.get_path("purelib")]
    (packages / "these.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(here)))
    return environment / "bin" / "nightrank"


def metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.BytesParser().parsebytes(archive.read(name))


def declared(wheel: Path, *extras: str) -> set[str]:
    """Distributions of the base, or of some extras alone."""
    requirements = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]
    if not extras:
        return {canonicalize_name(r.name) for r in requirements if r.marker is None}
    chosen = [r for r in requirements for e in extras if r.marker is not None and r.marker.evaluate({"extra": e})]
    return {canonicalize_name(r.name) for r in chosen}


def imports_of(package: str) -> Iterator[str]:
    """The distribution of every module that a package imports, wherever in a file the import stands."""
    for path in (TOP / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                top = name.partition(".")[0]
                if top not in sys.stdlib_module_names and top not in (*PACKAGES, *ELSEWHERE):
                    known = [module for module in DISTRIBUTIONS if f"{name}.".startswith(f"{module}.")]
                    yield DISTRIBUTIONS[known[0]] if known else top


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {path for package in PACKAGES for path in (TOP / package).rglob("*") if path.is_file()}
    # Images and the DAG are of the checkout: whoever builds or copies them has it.
    of_the_checkout = {"Dockerfile", "requirements.txt"}
    expected = {
        str(path.relative_to(TOP))
        for path in files
        if "__pycache__" not in path.parts and path.name not in of_the_checkout
    }
    assert {"beam_jobs/dataflow/score_template.json", "beam_jobs/engines/pom.xml"} <= expected
    assert inside == expected


def test_whatever_is_imported_is_declared(wheel: Path) -> None:
    assert set(imports_of("model")) <= declared(wheel) | declared(wheel, "train")
    assert set(imports_of("beam_jobs")) <= declared(wheel) | declared(wheel, "gcp")


def test_whatever_is_declared_is_imported(wheel: Path) -> None:
    used = set(imports_of("model")) | set(imports_of("beam_jobs")) | UNSEEN.keys()
    assert declared(wheel) | declared(wheel, "train", "gcp") <= used


def test_an_installed_command_runs_its_own_modules_wherever_it_stands(installed: Path, tmp_path: Path) -> None:
    for name in ("random.py", "csv.py", "argparse.py"):
        (tmp_path / name).write_text("raise SystemExit('imported from the working directory')\n")
    for name in ("model", "beam_jobs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported from the working directory')\n")
    for flags in (["--help"], ["summary", "--help"], ["train", "--help"], ["score", "--help"]):
        done = subprocess.run([installed, *flags], capture_output=True, text=True, cwd=tmp_path, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: ")


def test_an_installed_package_reads_its_own_files(installed: Path, tmp_path: Path) -> None:
    read = "from beam_jobs.dataflow import flex_template; from beam_jobs.engines import java; print(java.__file__); "
    read += "assert flex_template.TEMPLATE.read_bytes() and java._POM.read_bytes()"
    python = installed.with_name("python")
    # The tests' own environment may name the checkout on the path, which would come first.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-c", read], capture_output=True, text=True, cwd=tmp_path, env=environment, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(installed.parents[1])


def test_a_package_that_is_not_installed_is_one_line(installed: Path, tmp_path: Path) -> None:
    command = [installed.with_name("python"), "-S", "-c", "from beam_jobs.__main__ import main; main()", "train"]
    packages = next(installed.parents[1].glob("lib/python*/site-packages"))
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(packages)}, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "which is not installed; install nightrank with its extra `train`" in done.stderr
