"""A line in the log now and then while users are being scored."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Progress:
    """Counts what one process has scored and logs it at most once every `interval` seconds.

    Args:
      total_users: users in the whole run, of which other processes may score a part.
      interval: seconds.
      clock: gives seconds; replaced in tests.
    """

    def __init__(self, total_users: int, interval: float = 5.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._total_users = total_users
        self._interval = interval
        self._clock = clock
        self._lock = threading.Lock()
        self._started = self._logged = clock()
        self._users = self._pairs = 0

    def add(self, users: int, pairs: int) -> None:
        """Count a block of users, and log a line where it is time."""
        with self._lock:
            self._users += users
            self._pairs += pairs
            now = self._clock()
            if now - self._logged < self._interval:
                return
            self._logged = now
            rate = self._pairs / (now - self._started) / 1e6
            _LOG.info(
                "this process has scored %s of %s users, %.1f million pairs a second",
                f"{self._users:,}",
                f"{self._total_users:,}",
                rate,
            )


_of_runs: dict[str, Progress] = {}
_making = threading.Lock()


def of_run(run_id: str, total_users: int) -> Progress:
    """The one of a run, which all threads of this process share."""
    with _making:
        if run_id not in _of_runs:
            _of_runs.clear()  # of runs before, in a process that makes several
            _of_runs[run_id] = Progress(total_users)
        return _of_runs[run_id]
