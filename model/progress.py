"""How far a long piece of work is: one live line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

LOG_SECONDS = 10.0
"""Between two lines in a log."""


class Progress:
    """The progress of one phase, written to standard error.

    On a terminal one line is redrawn: phase, percent, rate, time left. Elsewhere a plain line appears every
    `LOG_SECONDS`, so that a log stays short. Any thread may report.

        with Progress("scoring", total=1_000, unit="users") as progress:
            progress.advance(64)

    Args:
      phase: one word, such as "scoring".
      total: how much there is to do; None where nobody knows, and then neither percent nor time left is shown.
      unit: of the total, in the plural.
      stream: where to write; standard error by default.
      clock: gives seconds; replaced in tests.
    """

    def __init__(
        self,
        phase: str,
        total: int | None = None,
        unit: str = "",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._phase, self._total, self._unit = phase, total, unit
        self._stream = stream or sys.stderr
        self._clock = clock
        self._lock = threading.Lock()
        self._started = self._written = clock()
        self._done = 0
        self._live = self._stream.isatty()

    def __enter__(self) -> Progress:
        if self._live:
            self._write()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def advance(self, done: int = 1) -> None:
        """Count some more as done."""
        with self._lock:
            self._report(self._done + done)

    def reach(self, done: int) -> None:
        """Set how much is done in all."""
        with self._lock:
            self._report(max(done, self._done))

    def _report(self, done: int) -> None:
        self._done = done
        now = self._clock()
        if now - self._written >= (0.1 if self._live else LOG_SECONDS):
            self._written = now
            self._write()

    def _write(self) -> None:
        line = self.line()
        self._stream.write(f"\r\x1b[K{line[:79]}" if self._live else f"{line}\n")
        self._stream.flush()

    def line(self) -> str:
        """The line as it stands now."""
        seconds = self._clock() - self._started
        rate = self._done / seconds if seconds > 0 else 0.0
        parts = []
        if self._total:
            parts.append(f"{self._done / self._total:.0%} of {self._total:,} {self._unit}")
        elif self._done:
            parts.append(f"{self._done:,} {self._unit}")
        if rate:
            parts.append(f"{rate:,.0f} a second")
        if self._total and rate and self._done < self._total:
            parts.append(f"{(self._total - self._done) / rate:.0f} s left")
        return f"{self._phase}: {', '.join(parts)}" if parts else self._phase
