"""The environment of the peers, `.venv-peers` in the checkout. It is made on request, apart from Nightrank's."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.cli import InputError

TOP = Path(__file__).parents[3]
FOLDER = TOP / ".venv-peers"
LOCK = Path(__file__).parents[1] / "peers.txt"
NOT_INSTALLED = "not installed: bench --peers"


def find(folder: Path = FOLDER) -> Path | None:
    """The Python of the environment; None unless it is complete and was made from this lock file."""
    stamp = folder / ".set-up"
    made = stamp.is_file() and stamp.read_text(encoding="utf-8") == _wanted()
    return folder / "bin" / "python" if made else None


def install(folder: Path = FOLDER) -> Path:
    """Make the environment unless it is there, with uv if the machine has it, or else with venv and pip.

    Raises:
      InputError: the environment could not be made. The installer has printed why.
    """
    found = find(folder)
    if found:
        return found
    print(f"installing the peers into {folder.name}; once, for a minute or two", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    python, uv = folder / "bin" / "python", shutil.which("uv")
    if uv:
        commands = [
            [uv, "venv", "--quiet", "--no-project", "--python", sys.executable, str(folder)],
            [uv, "pip", "install", "--quiet", "--no-deps", "--python", str(python), "--requirement", str(LOCK)],
        ]
    else:
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        commands = [[sys.executable, "-m", "venv", str(folder)], [*pip, "--requirement", str(LOCK)]]
    for command in commands:
        if subprocess.run(command, check=False).returncode:
            raise InputError(f"--peers: {folder.name} could not be made; see above, and check the package index")
    (folder / ".set-up").write_text(_wanted(), encoding="utf-8")
    return python


def run(python: Path, script: str, *args: object, variables: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a script of this folder with the peers' Python, and return the JSON of its last line.

    Raises:
      RuntimeError: the script failed. The message has the last lines that it printed.
    """
    command = [str(python), str(Path(__file__).with_name(script)), *map(str, args)]
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment | dict(variables or {}))
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-12:])
        raise RuntimeError(f"{script} failed:\n{last}")
    document: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return document


def _wanted() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()
