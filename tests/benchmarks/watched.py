"""A run of a command, watched from outside: seconds, the memory of its processes, and when its first file is there."""

from __future__ import annotations

import math
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WORKER = "sdk_worker_main"
"""In the command line of Beam's worker processes."""
SECONDS_A_LOOK, LOOKS_A_MEMORY = 0.05, 5
"""Looking costs time of the cores that are measured; the kernel keeps each process's peak, so memory can wait."""


@dataclass(frozen=True)
class Watched:
    """What was seen of one run."""

    seconds: float
    first_file: float
    """Seconds until a file of the patterns was there; not a number if none was seen."""
    launcher_peak: int
    """Bytes, the greatest resident set of the command's own process."""
    worker_peaks: tuple[int, ...]
    """Bytes, likewise of each of Beam's worker processes; none where threads work."""

    @property
    def peak(self) -> int:
        """Bytes, of the largest process that scores."""
        return max(self.worker_peaks, default=self.launcher_peak)


def watch(command: Sequence[str], on: Sequence[int], folder: Path, patterns: Sequence[str]) -> Watched:
    """Run a command to its end, on some cores.

    Args:
      command: program and arguments.
      on: numbers of the cores.
      folder: in which files are waited for; it need not be there yet.
      patterns: globs in it.

    Raises:
      RuntimeError: the command failed, with the last lines that it printed.
    """
    peaks: dict[int, tuple[bool, int]] = {}
    first_file, looks, began = math.nan, 0, time.monotonic()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, preexec_fn=lambda: os.sched_setaffinity(0, on)
        )
        while process.poll() is None:
            if math.isnan(first_file) and any(next(folder.glob(pattern), None) for pattern in patterns):
                first_file = time.monotonic() - began
            if looks % LOOKS_A_MEMORY == 0:
                peaks |= {pid: found for pid in family(process.pid) if (found := peak_of(pid))}
            looks += 1
            time.sleep(SECONDS_A_LOOK)
        seconds = time.monotonic() - began
        if process.returncode:
            log.seek(0)
            last = "".join(log.readlines()[-12:])
            raise RuntimeError(f"{' '.join(command[:3])} ended with {process.returncode}:\n{last}")
    workers = tuple(peak for is_worker, peak in peaks.values() if is_worker)
    return Watched(seconds, first_file, peaks.get(process.pid, (False, 0))[1], workers)


def family(pid: int) -> Iterator[int]:
    """A process, its children, theirs, and so on."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue  # It has ended.
        for child in children:
            yield from family(int(child))


def peak_of(pid: int) -> tuple[bool, int] | None:
    """Whether a process is a worker, and the greatest resident set, in bytes, that it has had; None where it ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    # A shell that started a worker has the same words in its command line.
    is_worker = WORKER in command and "python" in command.split("\0")[0]
    return (is_worker, int(found[1]) << 10) if found else None
