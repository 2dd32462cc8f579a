"""The package that workers install: built before a job is submitted, so that a mistake in it shows early."""

from __future__ import annotations

import email.parser
import re
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

from model.cli import InputError

SETUP_FILE = Path(__file__).parents[2] / "setup.py"
"""The one of this checkout. It does not exist where Nightrank is installed as a wheel."""
PACKAGES = ("model", "beam_jobs")


@dataclass(frozen=True)
class Package:
    """The source distribution that workers get."""

    name: str
    modules: int
    requires: tuple[str, ...]
    """The requirements that a worker installs with it, without extras."""

    def __str__(self) -> str:
        return f"{self.name} ({self.modules} modules), which requires {', '.join(self.requires)}"


def build_and_inspect(setup_file: str) -> Package:
    """Build the source distribution in a temporary folder and look into it.

    Raises:
      InputError: it cannot be built, it lacks a module that this process has imported for the jobs, or it makes every
        worker install what only training needs.
    """
    path = Path(setup_file).resolve()
    if path.name != "setup.py" or not path.is_file():
        raise InputError(
            f"{setup_file}: there is no such setup.py, as in an installed Nightrank; run from a checkout, name its "
            "setup.py, or give --sdk_container_image"
        )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, path.name, "-q", "egg_info", "--egg-base", folder, "sdist", "--dist-dir", folder],
            cwd=path.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        built = list(Path(folder).glob("*.tar.gz"))
        if done.returncode or len(built) != 1:
            said = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1]
            raise InputError(f"{setup_file}: the package cannot be built ({said}); correct setup.py")
        return _inspect(built[0], setup_file)


def _inspect(built: Path, setup_file: str) -> Package:
    with tarfile.open(built) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
        information = archive.extractfile(f"{built.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert information is not None
        metadata = email.parser.BytesParser().parse(information)
    lacking = sorted(name for name in _modules_in_use() if not {f"{name}.py", f"{name}/__init__.py"} & inside)
    if lacking:
        raise InputError(f"{setup_file}: the package lacks {', '.join(lacking)}; add the folder to its packages")
    requires = metadata.get_all("Requires-Dist", [])
    base = tuple(sorted(line for line in requires if "extra ==" not in line))
    training = {_name(line) for line in requires if re.search(r"extra == .train.", line)}
    needless = sorted(training & {_name(line) for line in base})
    if needless:
        raise InputError(
            f"{setup_file}: every worker would install {', '.join(needless)}, which only training needs; "
            "move it to the extra `train`"
        )
    return Package(built.name, sum(name.endswith(".py") and name.split("/")[0] in PACKAGES for name in inside), base)


def _modules_in_use() -> set[str]:
    """The modules of our packages that this process has imported, the jobs' among them, as paths without an ending."""
    names = (name for name in sys.modules if name.split(".")[0] in PACKAGES)
    return {name.replace(".", "/") for name in names if getattr(sys.modules[name], "__file__", None)}


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")
