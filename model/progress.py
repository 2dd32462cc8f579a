"""How far a long piece of work is: one live line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

LOG_SECONDS = 10.0
"""Between two lines of a phase in a log."""
PHASE_WIDTH = 11
"""Columns for the name of a phase, so that the numbers of one phase stand below those of another."""
_BAR_WIDTH = 16
_REDRAWS_A_SECOND = 5.0

_live: list[Live] = []
"""The lines that are live now. A phase inside another is drawn by the same console, below the outer one."""


class Progress:
    """The progress of one phase, written to standard error.

    On a terminal one line is redrawn: phase, bar, percent, rate, time left. Elsewhere a plain line appears every
    `LOG_SECONDS`, so that a log stays short. When the phase has ended well, one line remains in both: how much was
    done, in how many seconds, and how fast. After an error nothing remains. Any thread may report.

        with Progress("scoring", total=1_000, unit="users") as progress:
            progress.advance(64)

    Without `stream`, the phase is shown only where the logger of this module takes INFO: a command shows it unless
    `--log_level` asks for less, and a library call is silent.

    Args:
      phase: one word, such as "scoring".
      total: how much there is to do; None where nobody knows, and then neither percent nor time left is shown.
      unit: of the total, in the plural.
      stream: where to write; standard error by default.
      clock: gives seconds; replaced in tests.
      rate_unit: the unit of the rate, and how many of it each `unit` is worth, such as (1_682, "pairs"); by default
        the rate is told in `unit`.
      started: when the phase began, by `clock`, where that was earlier.
    """

    def __init__(
        self,
        phase: str,
        total: int | None = None,
        unit: str = "",
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        rate_unit: tuple[int, str] | None = None,
        started: float | None = None,
    ) -> None:
        self._phase, self._total, self._unit = phase, total, unit
        self._worth, self._rate_unit = rate_unit or (1, unit)
        self._shown = stream is not None or logging.getLogger(__name__).isEnabledFor(logging.INFO)
        self._stream = stream or sys.stderr
        self._clock = clock
        self._lock = threading.Lock()
        self._written = clock()
        self._started = self._written if started is None else started
        self._done = 0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if self._shown and _is_terminal(self._stream):
            self._live = self._start_live()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            shown, self._shown = self._shown, False
        if self._live:
            _live.remove(self._live)
            self._live.stop()
        if shown and kind is None:
            self._write(self.summary())

    def advance(self, done: int = 1) -> None:
        """Count some more as done."""
        with self._lock:
            self._done += done
            self._log_now_and_then()

    def reach(self, done: int) -> None:
        """Set how much is done in all. Less than before counts as before."""
        with self._lock:
            self._done = max(done, self._done)
            self._log_now_and_then()

    def line(self) -> str:
        """The line as it stands now."""
        parts = self._measures()
        if self._total:
            parts[0] = f"{parts[0]} of {self._total:,} {self._unit}".rstrip()
        return f"{self._phase:{PHASE_WIDTH}} {', '.join(parts)}".rstrip()

    def summary(self) -> str:
        """The line that remains when the phase has ended well."""
        seconds = self._seconds()
        text = f"{self._phase:{PHASE_WIDTH}} {_amount(self._done, self._unit)} in {_duration(seconds)}"
        # A rate over less time says nothing.
        return f"{text}, {self._rate(seconds)}" if self._done and seconds >= 0.1 else text

    def _seconds(self) -> float:
        return self._clock() - self._started

    def _rate(self, seconds: float) -> str:
        return f"{_number(self._done * self._worth / seconds)} {self._rate_unit} a second".replace("  ", " ")

    def _measures(self) -> list[str]:
        """How much is done, how fast, and how long the rest takes, as far as each is known."""
        done, seconds = self._done, self._seconds()
        if self._total:
            parts = [f"{min(done / self._total, 1.0):.0%}"]
        else:
            parts = [_amount(done, self._unit)] if done else [_duration(seconds)]
        if done and seconds > 0:
            parts.append(self._rate(seconds))
            if self._total and done < self._total:
                parts.append(f"{_duration((self._total - done) * seconds / done)} left")
        return parts

    def _log_now_and_then(self) -> None:
        if self._shown and not self._live and self._clock() - self._written >= LOG_SECONDS:
            self._written = self._clock()
            self._write(self.line())

    def _write(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        try:
            self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            self._shown = False  # Nobody reads any more; the work goes on all the same.

    def _start_live(self) -> Live:
        from rich.console import Console
        from rich.live import Live

        # With `soft_wrap` a long line that is printed meanwhile is not cut in pieces: a path in it can be copied.
        console = _live[-1].console if _live else Console(file=self._stream, soft_wrap=True, highlight=False)
        live = Live(
            get_renderable=self._row,
            console=console,
            refresh_per_second=_REDRAWS_A_SECOND,
            transient=True,
            # Lines printed meanwhile appear above the live one. What goes to a pipe or a file goes there as before.
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),
            redirect_stderr=self._stream is sys.stderr,
        )
        _live.append(live)
        live.start(refresh=True)
        return live

    def _row(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        row = Table.grid(padding=(0, 1))
        for _ in range(3):
            row.add_column(no_wrap=True, overflow="crop")
        bar = ProgressBar(self._total or 1, min(self._done, self._total or 0), _BAR_WIDTH, pulse=not self._total)
        row.add_row(f"{self._phase:{PHASE_WIDTH}}", bar, "  ".join(self._measures()))
        return row


def _is_terminal(stream: TextIO) -> bool:
    """Whether a line can be redrawn there."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("", "dumb", "unknown")


def _amount(number: int, unit: str) -> str:
    return f"{number:,} {unit}".rstrip() if number or unit else "done"


def _number(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,.1f} million"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
