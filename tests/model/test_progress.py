"""One live line on a terminal, plain lines in a log, and one line that remains of each phase."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from model.progress import LOG_SECONDS, Progress

TOP = Path(__file__).parents[2]


class Clock:
    """Stands still until it is told to move."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_a_log_gets_a_line_every_ten_seconds_and_one_that_remains() -> None:
    clock, log = Clock(), io.StringIO()
    with Progress("scoring", 100_000, "users", log, clock) as progress:
        for _ in range(25):
            clock.seconds += 1
            progress.advance(2_000)
        clock.seconds += 15
        progress.reach(100_000)
    assert log.getvalue().splitlines() == [
        "scoring     20% of 100,000 users, 2,000 users a second, 40 s left",
        "scoring     40% of 100,000 users, 2,000 users a second, 30 s left",
        "scoring     100% of 100,000 users, 2,500 users a second",
        "scoring     100,000 users in 40 s, 2,500 users a second",
    ]


def test_a_rate_may_be_told_in_another_unit() -> None:
    clock, log = Clock(), io.StringIO()
    with Progress("scoring", 1_000, "users", log, clock, rate_unit=(2_300, "pairs")) as progress:
        clock.seconds += 1.2
        progress.advance(1_000)
    assert log.getvalue() == "scoring     1,000 users in 1.2 s, 1.9 million pairs a second\n"


def test_a_phase_without_a_total_shows_what_is_done() -> None:
    clock, log = Clock(), io.StringIO()
    with Progress("writing", unit="users", stream=log, clock=clock) as progress:
        clock.seconds += LOG_SECONDS
        progress.advance(5)
        clock.seconds += 4_000
        progress.advance(0)
    with Progress("publishing", stream=log, clock=clock):
        clock.seconds += 0.25
    assert log.getvalue().splitlines() == [
        "writing     5 users, 0.5 users a second",
        "writing     5 users, 0.0012 users a second",
        "writing     5 users in 1 h 6 min, 0.0012 users a second",
        "publishing  done in 0.2 s",
    ]


def test_reaching_less_than_before_changes_nothing() -> None:
    progress = Progress("scoring", 10, "users", io.StringIO(), Clock())
    progress.reach(7)
    progress.reach(3)
    assert progress.line() == "scoring     70% of 10 users"


def test_nothing_remains_of_a_phase_that_failed() -> None:
    log = io.StringIO()
    with pytest.raises(ZeroDivisionError), Progress("scoring", 10, "users", log, Clock()) as progress:
        progress.advance(1 // 0)
    assert log.getvalue() == ""


def test_threads_lose_no_count() -> None:
    progress = Progress("scoring", 80_000, "users", io.StringIO(), Clock())

    def work() -> None:
        for _ in range(10_000):
            progress.advance()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert progress.line() == "scoring     100% of 80,000 users"


@pytest.mark.parametrize(("level", "shown"), [(logging.INFO, True), (logging.WARNING, False)])
def test_a_command_that_logs_less_shows_no_progress(
    level: int, shown: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with caplog.at_level(level, "model"), Progress("scoring", 1, "users") as progress:
        progress.advance()
    assert bool(log.getvalue()) is shown


def test_a_log_that_is_not_utf_8_or_is_closed_stops_nothing() -> None:
    raw = io.BytesIO()
    log = io.TextIOWrapper(raw, encoding="ascii")
    with Progress("scoring", 1, "“users”", log, Clock()) as progress:
        progress.advance()
    log.flush()
    assert raw.getvalue() == rb"scoring     1 \u201cusers\u201d in 0.0 s" + b"\n"
    log.close()
    with Progress("scoring", 1, "users", io.StringIO(), Clock()) as progress:
        progress._stream.close()
        progress.advance()


SCRIPT = """
import sys, time
from model.progress import Progress
with Progress("scoring", 100, "users", sys.stderr, rate_unit=(1_682_000, "pairs")) as progress:
    for number in range(10):
        time.sleep(0.05)
        progress.advance(10)
        if number == 5:
            print("said meanwhile: " + "x" * 100)
"""


def on_terminal(environment: dict[str, str], stdout_too: bool = True) -> tuple[str, str]:
    """What a terminal of 80 columns gets, and what standard output gets where that is a pipe."""
    mine, its = pty.openpty()
    done = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=its if stdout_too else subprocess.PIPE,
        stderr=its,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TOP), "COLUMNS": "80", **environment},
    )
    os.close(its)
    got = b""
    while True:
        try:
            block = os.read(mine, 1 << 16)
        except OSError:  # how Linux tells that the other side has closed
            break
        if not block:
            break
        got += block
    os.close(mine)
    out = done.communicate()[0] or ""
    assert done.returncode == 0
    return got.decode(), out


def frames(terminal: str) -> list[str]:
    """Each state of each line, without colours."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal)
    return [frame for frame in re.split(r"[\r\n]+", plain) if frame]


def test_a_terminal_gets_one_live_line_and_keeps_the_last() -> None:
    terminal, _ = on_terminal({"TERM": "xterm-256color"})
    states = frames(terminal)
    assert states[-1].startswith("scoring     100 users in ")
    assert states[-1].endswith(" million pairs a second")
    live = [state for state in states if "━" in state]
    assert len(live) >= 3
    assert all(len(state) <= 80 for state in live)
    assert re.search(r"[1-9]0%  [\d,.]+ million pairs a second  0\.\d s left", "\n".join(live))
    assert "said meanwhile: " + "x" * 100 in states
    assert terminal.count("\x1b[?25h") >= 1  # The cursor is back.


@pytest.mark.parametrize(
    "environment",
    [
        {"TERM": "dumb"},
        {"TERM": ""},
    ],
)
def test_a_terminal_that_cannot_redraw_gets_plain_lines(environment: dict[str, str]) -> None:
    terminal, _ = on_terminal(environment)
    assert "\x1b" not in terminal
    assert frames(terminal)[-1].startswith("scoring     100 users in ")


def test_without_colours_and_without_utf_8() -> None:
    terminal, _ = on_terminal({"TERM": "xterm", "NO_COLOR": "1", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert terminal.isascii()
    assert not re.search(r"\x1b\[[0-9;]*m", terminal.replace("\x1b[0m", ""))
    assert frames(terminal)[-1].startswith("scoring     100 users in ")


def test_what_goes_to_a_pipe_still_does() -> None:
    terminal, out = on_terminal({"TERM": "xterm"}, stdout_too=False)
    assert out == "said meanwhile: " + "x" * 100 + "\n"
    assert "said meanwhile" not in terminal


def test_importing_it_is_cheap() -> None:
    script = "import sys, model.progress; print([name for name in sys.modules if name.split('.')[0] == 'rich'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=TOP)
    assert done.stdout == "[]\n"
