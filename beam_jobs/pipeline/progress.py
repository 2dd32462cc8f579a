"""Progress of a run: workers report what they have done, and the process that launched it shows the total.

Workers append short lines to one file in the temporary folder, which the launcher creates, reads and deletes. All
workers on the launcher's machine find it by the run's id: threads of the launcher, its worker processes, and those of
a local engine. Workers elsewhere find no such file and report nothing; there the launcher looks, now and then, for
what has been written.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from beam_jobs.io import storage
from model.progress import Progress

POLL_SECONDS = 0.1
"""Between two looks at what workers on this machine have reported."""
LOOK_SECONDS = 5.0
"""Between two looks at what workers elsewhere have written."""


class RunStoppedError(Exception):
    """Raised in a worker's thread to end its work after the run was interrupted."""


@dataclass(frozen=True)
class Phase:
    """A phase of a run, such as "scoring"."""

    name: str
    """One word."""
    total: int | None = None
    """How much there is to do in all processes together; None where nobody knows."""
    unit: str = ""
    """Of the total, in the plural."""
    rate_unit: tuple[int, str] | None = None
    """As `model.progress.Progress` takes it."""
    finished: Callable[[], int] | None = None
    """How much of the total lies there as finished files; asked where no worker reports."""


_files: dict[str, int] = {}
"""A file descriptor for each run that this process has reported to; -1 where the run has no file here."""
_opening = threading.Lock()
_stopped: set[str] = set()
"""Runs that were interrupted in this process."""


def report(run_id: str, phase: str, done: int) -> None:
    """Tell the launcher that `done` more is done. Workers call this for each batch, and with 0 when they begin.

    Raises:
      RunStoppedError: the run was interrupted.
    """
    if run_id in _stopped:
        raise RunStoppedError(f"run {run_id} was interrupted")
    with _opening:
        if run_id not in _files:
            _files[run_id] = _open(file_of(run_id), os.O_WRONLY | os.O_APPEND)
    if _files[run_id] >= 0:
        # A short write to the end of a local file is never mixed with another's.
        os.write(_files[run_id], f"{phase} {done}\n".encode())


def file_of(run_id: str) -> Path:
    """The file that workers report to. It exists as long as the run goes on."""
    return Path(tempfile.gettempdir(), f"nightrank-{run_id}.progress")


def stop(run_id: str) -> None:
    """End the run's workers on this machine: threads at their next report, processes when they miss the file."""
    _stopped.add(run_id)
    file_of(run_id).unlink(missing_ok=True)


@contextlib.contextmanager
def followed(run_id: str, phases: Sequence[Phase]) -> Iterator[None]:
    """Show the phases of a run, one after the other, while the block runs the pipeline."""
    path = file_of(run_id)
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    if descriptor >= 0:
        os.close(descriptor)
    display = _Display(_Reports(path), phases)
    display.start()
    try:
        yield
        display.succeeded = True
    finally:
        display.ended.set()
        display.join()
        path.unlink(missing_ok=True)
        if run_id not in _stopped and (mine := _files.pop(run_id, -1)) >= 0:
            os.close(mine)


def in_finished_files(pattern: str, units: Mapping[str, int]) -> Callable[[], int]:
    """For `Phase.finished`: the sum of `units`, by name, over the files that match a glob."""
    return lambda: sum(units.get(path.rpartition("/")[2], 0) for path in storage.list_files(pattern))


def _open(path: Path, flags: int) -> int:
    """A file descriptor; -1 where the file cannot be opened, as then there is nobody to report to."""
    try:
        return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    except OSError:
        return -1


class _Reports:
    """What workers have reported so far: how much is done, and when that was first seen to begin, by phase."""

    def __init__(self, path: Path) -> None:
        self.done: Counter[str] = Counter()
        self.began: dict[str, float] = {}
        self._path, self._offset = path, 0

    def read(self) -> None:
        """Take in what is new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:
            return
        complete = new[: new.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.decode().splitlines():
            phase, done = line.split()
            self.done[phase] += int(done)
            self.began.setdefault(phase, time.monotonic())


class _Display(threading.Thread):
    """Shows the phases, beside the pipeline."""

    def __init__(self, reports: _Reports, phases: Sequence[Phase]) -> None:
        super().__init__(name="progress", daemon=True)
        self.ended = threading.Event()
        self.succeeded = False
        self._reports, self._phases = reports, phases
        self._looked: dict[str, int] = {}
        self._look_at = time.monotonic() + LOOK_SECONDS

    def run(self) -> None:
        """One phase after the other until the pipeline has ended."""
        for number, phase in enumerate(self._phases):
            later = self._phases[number + 1 :]
            self._reports.read()
            if self._done(phase) or not self._over(phase, later):
                self._show(phase, later)

    def _show(self, phase: Phase, later: Sequence[Phase]) -> None:
        """Show a phase until it is over. Nothing remains of it where the pipeline fails meanwhile."""
        # Some of a phase may be done before the last is over, as a worker audits a part once it has scored it.
        began = self._reports.began.get(phase.name)
        progress = Progress(phase.name, phase.total, phase.unit, rate_unit=phase.rate_unit, started=began)
        with contextlib.suppress(RunStoppedError), progress:
            while not self._over(phase, later):
                progress.reach(self._done(phase))
                self.ended.wait(POLL_SECONDS)
                self._reports.read()
                self._look()
            if self.ended.is_set() and not self.succeeded:
                raise RunStoppedError
            progress.reach(max(self._done(phase), phase.total or 0))

    def _look(self) -> None:
        """Look for finished files where no worker reports."""
        if self._reports.done or time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + LOOK_SECONDS
        for phase in self._phases:
            if phase.finished:
                # The run goes on where a look fails, and the next look may not.
                with contextlib.suppress(Exception):
                    self._looked[phase.name] = phase.finished()

    def _over(self, phase: Phase, later: Sequence[Phase]) -> bool:
        """Whether a phase has nothing left to do, or was passed over while another has begun."""
        if self.ended.is_set():
            return True
        done = self._done(phase)
        if phase.total and done >= phase.total:
            return True
        return any(self._begun(other) for other in later) and not (phase.total and done)

    def _begun(self, phase: Phase) -> bool:
        return phase.name in self._reports.done or self._done(phase) > 0

    def _done(self, phase: Phase) -> int:
        return max(self._reports.done[phase.name], self._looked.get(phase.name, 0))
