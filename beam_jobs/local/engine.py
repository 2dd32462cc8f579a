"""A portable engine in a process of its own, around the stages that run on it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POLL_SECONDS = 0.2


@contextmanager
def engine(name: str) -> Iterator[list[str]]:
    """Start an engine, and stop it at the end.

    Its logs are kept, and their folder is named on standard error, where the block does not end well.

    Args:
      name: one that `beam_jobs.engines` knows.

    Yields:
      The Beam flags of jobs for it.

    Raises:
      SystemExit: it did not start, and has said why; with its exit status.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"nightrank-{name}."))
    flags = folder / "flags"
    command = [sys.executable, "-m", "beam_jobs", "engines", name, "--folder", str(folder), "--flags_file", str(flags)]
    process = subprocess.Popen(command)
    try:
        while not flags.exists():
            if process.poll() is not None:
                raise SystemExit(process.returncode or 1)
            time.sleep(POLL_SECONDS)
        yield flags.read_text(encoding="utf-8").splitlines()
    except BaseException:
        _stop(process)
        # Where there is no log, the folder is empty.
        if any(folder.iterdir()):
            print(f"logs of the engine: {folder}", file=sys.stderr)
        else:
            folder.rmdir()
        raise
    _stop(process)
    shutil.rmtree(folder, ignore_errors=True)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()
