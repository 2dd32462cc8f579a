"""What is downloaded once and kept: complete or absent."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from model.cli import InputError, RunError


def folder() -> Path:
    """Where downloads are kept: `nightrank` in `$XDG_CACHE_HOME` or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nightrank"


def keep(name: str, fetch: Callable[[Path], None]) -> Path:
    """The folder `name` of the cache, filled by `fetch` if it is not there yet.

    `fetch` gets an empty folder, which takes its place in the cache once it is complete. Two that fetch at the same
    time do so apart, and the first to be done is kept.
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
    """Run a program that downloads.

    Args:
      command: the program first; it is looked for on the path.
      what: is downloaded, in words.
      instead: what to do where there is no such program or no network.
      environment: added to that of this process.

    Raises:
      InputError: the program is not on this machine.
      RunError: it failed.
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
