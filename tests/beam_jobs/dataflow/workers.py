"""The environment of a worker: a virtual environment with what a job staged, and without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).parents[3]
LOCK = TOP / "beam_jobs" / "dataflow" / "requirements.txt"
_OURS = ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONHOME")


@dataclass(frozen=True)
class WorkerEnvironment:
    """A virtual environment with the packages of the workers' image, to which a job adds its own package."""

    folder: Path
    seconds: float
    """Seconds to install the packages of the image."""

    @classmethod
    def create(cls, folder: Path) -> WorkerEnvironment:
        """Make one with only the locked packages, like the image before our package is added."""
        started = time.monotonic()
        # The real path, because a link may lead through another virtual environment.
        _call(os.path.realpath(sys.executable), "-m", "venv", str(folder))
        environment = cls(folder, 0.0)
        environment.install(["--no-deps", "--require-hashes", "--requirement", str(LOCK)])
        return cls(folder, time.monotonic() - started)

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def install(self, arguments: Sequence[str]) -> None:
        if uv := shutil.which("uv"):
            _call(uv, "pip", "install", "--quiet", "--python", self.python, *arguments)
        else:
            _call(self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)

    def install_package(self, sdist: Path) -> None:
        """Install a staged package. No index is used, and `pip check` shows that its requirements are there already."""
        arguments = ["--no-index", "--no-build-isolation", "--force-reinstall", "--no-deps", str(sdist)]
        _call(self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments)
        _call(self.python, "-m", "pip", "check", "--disable-pip-version-check")

    def install_checkout(self) -> None:
        """Install the package of this checkout from its source distribution, as the image does."""
        with tempfile.TemporaryDirectory() as folder:
            flags = ["egg_info", "--egg-base", folder, "sdist", "--dist-dir", folder]
            subprocess.run([sys.executable, "setup.py", "-q", *flags], cwd=TOP, check=True)
            [sdist] = Path(folder).glob("*.tar.gz")
            self.install_package(sdist)

    def run(self, *arguments: str) -> str:
        """Run its Python and return the output."""
        return _call(self.python, *arguments)

    def variables(self) -> dict[str, str]:
        """The variables of a process in this environment."""
        return {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}", "PYTHONPATH": ""}


def _call(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
