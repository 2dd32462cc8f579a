"""Measurement of a command from outside: its seconds, the memory of its processes, the time of its first file."""

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
"""A word in the command line of each of Beam's worker processes."""
SECONDS_A_LOOK, LOOKS_A_MEMORY = 0.05, 5
"""Looking takes time of the measured cores. Memory can wait, because Linux keeps the peak of each process."""


@dataclass(frozen=True)
class Measurement:
    """The measurements of one run."""

    seconds: float
    first_file: float
    """Seconds until a file matched a pattern; NaN if none did."""
    launcher_peak: int
    """Largest resident set of the command's own process, in bytes."""
    worker_peaks: tuple[int, ...]
    """Largest resident set of each of Beam's worker processes, in bytes; empty if the work is done in threads."""

    @property
    def peak(self) -> int:
        """Largest resident set of a process that scores, in bytes."""
        return max(self.worker_peaks, default=self.launcher_peak)


def measure_command(command: Sequence[str], on: Sequence[int], folder: Path, patterns: Sequence[str]) -> Measurement:
    """Run a command to its end on some cores, and measure it.

    Args:
      command: the program and its arguments.
      on: the numbers of the cores.
      folder: where to look for the first file; it need not exist yet.
      patterns: globs below `folder`.

    Raises:
      RuntimeError: the command failed. The message has the last lines that it printed.
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
    return Measurement(seconds, first_file, peaks.get(process.pid, (False, 0))[1], workers)


def family(pid: int) -> Iterator[int]:
    """The ids of a process and of all its descendants."""
    yield pid
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue  # The process has ended.
        for child in children:
            yield from family(int(child))


def peak_of(pid: int) -> tuple[bool, int] | None:
    """Whether a process is a worker, and its largest resident set so far in bytes; None if it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    # A shell that started a worker has the word in its command line too.
    is_worker = WORKER in command and "python" in command.split("\0")[0]
    return (is_worker, int(found[1]) << 10) if found else None
