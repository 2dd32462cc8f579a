"""The package that workers install."""

from __future__ import annotations

from pathlib import Path

import pytest

from beam_jobs.dataflow.package import SETUP_FILE, build_and_inspect
from model.cli import InputError
from tests.beam_jobs.dataflow.conftest import TOP

SETUP = """
from setuptools import setup
setup(name="p", version="1", packages=[{packages}], install_requires=[{base}], extras_require={{"train": ["tf-keras"]}})
"""


def write_package(folder: Path, packages: str = "", base: str = "") -> str:
    (folder / "setup.py").write_text(SETUP.format(packages=packages, base=base))
    return str(folder / "setup.py")


def test_the_package_of_this_checkout_has_every_module_and_the_base_requirements() -> None:
    assert SETUP_FILE == TOP / "setup.py"
    package = build_and_inspect(str(SETUP_FILE))
    assert package.modules > 60
    assert any(line.startswith("tensorflow") for line in package.requires)
    assert not any(line.startswith("tensorflow-recommenders") for line in package.requires)


def test_a_wheel_has_no_setup_file_and_the_message_says_what_else_would_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"setup\.py: there is no such setup\.py.*give --sdk_container_image"):
        build_and_inspect(str(tmp_path / "site-packages" / "setup.py"))


def test_a_package_that_cannot_be_built_is_refused(tmp_path: Path) -> None:
    (tmp_path / "setup.py").write_text("raise SystemExit('no version')")
    with pytest.raises(InputError, match=r"setup\.py: the package cannot be built \(no version\); correct setup\.py"):
        build_and_inspect(str(tmp_path / "setup.py"))


def test_a_package_that_lacks_a_module_of_the_jobs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the package lacks beam_jobs, .*; add the folder to its packages"):
        build_and_inspect(write_package(tmp_path))


def test_a_package_that_makes_workers_install_what_training_needs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_jobs.dataflow.package.PACKAGES", ())
    with pytest.raises(InputError, match=r"every worker would install tf-keras, .*move it to the extra `train`"):
        build_and_inspect(write_package(tmp_path, base="'tf_keras>=2'"))
