"""A cache of downloads. A folder in it is complete or absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from model.cli import InputError, RunError


def folder() -> Path:
    """The cache: `nightrank` in `$XDG_CACHE_HOME`, or else in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightrank"


def keep(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache. If it is missing, `fetch` makes it.

    `fetch` fills an empty folder elsewhere, which is then renamed into the cache. If two processes fetch at the same
    time, each fills a folder of its own, and the cache keeps the one that is complete first.

    Raises:
      InputError: the cache cannot be written.
    """
    kept = folder() / name
    if kept.is_dir():
        return kept
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{kept.name}-", dir=kept.parent))
    except OSError as error:
        raise InputError(f"{kept.parent}: {error.strerror}; name a folder to write to with XDG_CACHE_HOME") from None
    try:
        fetch(partial)
        try:
            partial.rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return kept


def download(command: Sequence[str], what: str, instead: str, environment: dict[str, str] | None = None) -> None:
    """Run a program that downloads something.

    Args:
      command: the program, which is searched on the path, and its arguments.
      what: what it downloads, in words.
      instead: what the user can do without the program or without a network.
      environment: variables to add to those of this process.

    Raises:
      InputError: the program is not on this machine.
      RunError: the program failed.
    """
    if shutil.which(command[0]) is None:
        raise InputError(f"{command[0]} is not on this machine, and is needed once to download {what}; {instead}")
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or [f"exit status {done.returncode}"]
        said = next((line for line in lines if "ERROR" in line), lines[-1])
        raise RunError(f"{command[0]} could not download {what}: {said.strip()}; {instead}")
