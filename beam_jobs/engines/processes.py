"""Child processes that live exactly as long as a `with` block, or shorter."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from model.cli import RunError

POLL_SECONDS = 0.1
GRACE_SECONDS = 5.0
"""Between SIGTERM and SIGKILL, for all processes together."""
LINES_OF_A_LOG = 15
"""Shown of the log of a process that ended when it should not have."""

_DIE_WITH_PARENT = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent has ended')\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
"""Sets PR_SET_PDEATHSIG, then becomes the command: nothing is left behind even where the parent is killed outright.

A program of its own because Python code between fork and exec (`preexec_fn`) may hang in a process with threads.
"""


class Process:
    """A child in a session of its own, with a file for what it says."""

    def __init__(self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.name, self.log = name, log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def __repr__(self) -> str:
        return f"{self.name} (process {self.pid})"

    @property
    def pid(self) -> int:
        """Of the process, and of its group and session."""
        return self._popen.pid

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def terminate(self) -> None:
        """Ask it and all that it has started to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all that it has started, at once, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._popen.wait()

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LINES_OF_A_LOG:])

    def _signal(self, number: int) -> None:
        # Also when the process itself has ended: what it started may live on in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Processes:
    """Processes that are started one by one and all stopped when the block ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """Gets `NAME.log` for every process."""
        self._started: list[Process] = []

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Process]:
        return iter(tuple(self._started))

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a process; `environment` is added to that of this one.

        Raises:
          OSError: no process can be made. A program that is not there ends at once, and says so in its log.
        """
        process = Process(name, command, self.folder / f"{name}.log", {**os.environ, **(environment or {})})
        self._started.append(process)
        return process

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` says so.

        Raises:
          RunError: one of the processes ended, or the time is over. The end of a log is in the message.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                last = self._started[-1]
                raise RunError(f"{what}: not in {seconds:.0f} s; the end of {last.log}:\n{last.last_lines()}")
            time.sleep(POLL_SECONDS)

    def check(self) -> None:
        """Raises RunError if one of the processes has ended. The end of its log is in the message."""
        for process in self._started:
            if not process.running():
                raise RunError(f"{process.name} has ended; the end of {process.log}:\n{process.last_lines()}")

    def forget(self, process: Process) -> None:
        """Leave out a process that has ended, once all that it had started has ended too."""
        process.kill()
        self._started.remove(process)

    def stop(self) -> None:
        """Ask all to end, the last started first, and kill what has not ended in `GRACE_SECONDS`."""
        for process in reversed(self._started):
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and any(process.running() for process in self._started):
            time.sleep(POLL_SECONDS)
        for process in reversed(self._started):
            process.kill()


def free_ports(count: int) -> list[int]:
    """Different ports of this machine that nobody listens on at this moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def listens(port: int) -> bool:
    """Whether somebody on this machine takes connections on the port."""
    try:
        with socket.create_connection(("localhost", port), timeout=1):
            return True
    except OSError:
        return False
