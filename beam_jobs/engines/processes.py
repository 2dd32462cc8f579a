"""Child processes that never outlive a `with` block, even if this process is killed.

psutil would not do: it finds the children of a process by looking at all processes, so it misses those that start
meanwhile, and it cannot tie a child to the life of its parent. Sessions and PR_SET_PDEATHSIG do both in the kernel.
"""

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
"""Time between SIGTERM and SIGKILL, for all processes together."""
LINES_OF_A_LOG = 15
"""How much of the log to show of a process that ended too early."""

_DIE_WITH_PARENT = (
    "import ctypes, os, signal, sys\n"
    "ctypes.CDLL(None).prctl(1, signal.SIGKILL)\n"
    "if os.getppid() != int(sys.argv[1]): sys.exit('the parent has ended')\n"
    "os.execvp(sys.argv[2], sys.argv[2:])\n"
)
"""A program that sets PR_SET_PDEATHSIG and then becomes the command, so that it dies with its parent in any case.

It is not a `preexec_fn`, because Python code between fork and exec may hang in a process with threads.
"""


class Process:
    """A child in a session of its own, which writes its output to a log file."""

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
        """The id of the process, and also of its process group and session."""
        return self._popen.pid

    def running(self) -> bool:
        """Whether the process is still running."""
        return self._popen.poll() is None

    def terminate(self) -> None:
        """Ask the process and everything that it started to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process and everything that it started, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._popen.wait()

    def last_lines(self) -> str:
        """The end of the log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LINES_OF_A_LOG:])

    def _signal(self, number: int) -> None:
        # Even if the process itself has ended, its children may still run in its group.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)


class Processes:
    """Processes that are started one by one. All are stopped when the block ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        """The folder of the log of each process, `NAME.log`."""
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
        """Start a process, with the variables of `environment` added to those of this process.

        Raises:
          OSError: the system cannot make a process. Without the program, the process ends and its log says so.
        """
        process = Process(name, command, self.folder / f"{name}.log", {**os.environ, **(environment or {})})
        self._started.append(process)
        return process

    def wait_until(self, what: str, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until `ready` returns true; `what` says in words what it waits for.

        Raises:
          RunError: a process ended, or the time is up. The message has the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            self.require_running()
            if time.monotonic() > deadline:
                last = self._started[-1]
                raise RunError(f"{what}: not in {seconds:.0f} s; the end of {last.log}:\n{last.last_lines()}")
            time.sleep(POLL_SECONDS)

    def require_running(self) -> None:
        """Raises RunError if a process has ended. The message has the end of its log."""
        for process in self._started:
            if not process.running():
                raise RunError(f"{process.name} has ended; the end of {process.log}:\n{process.last_lines()}")

    def forget(self, process: Process) -> None:
        """Kill what a process that has ended left behind, and keep track of it no longer."""
        process.kill()
        self._started.remove(process)

    def stop(self) -> None:
        """Ask all processes to end, the last started first. After `GRACE_SECONDS`, kill those that still run."""
        for process in reversed(self._started):
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS
        while time.monotonic() < deadline and any(process.running() for process in self._started):
            time.sleep(POLL_SECONDS)
        for process in reversed(self._started):
            process.kill()


def free_ports(count: int) -> list[int]:
    """Ports of this machine, all different, on which nobody listens at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def listens(port: int) -> bool:
    """Whether a process on this machine accepts connections on the port."""
    try:
        with socket.create_connection(("localhost", port), timeout=1):
            return True
    except OSError:
        return False
