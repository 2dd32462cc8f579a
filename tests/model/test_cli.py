"""How a command ends: its exit status, and one line that says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from model.cli import FlagParser, InputError, about

TOP = Path(__file__).parents[2]
TITLE = "Amélie — 千と千尋"


def command(body: str) -> list[str]:
    """A command whose `main` has this body."""
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    script = f"import logging, os, signal, sys, time\nfrom model.cli import *\ndef main(argv):\n{lines}\nrun(main)"
    return [sys.executable, "-c", script]


def run_command(
    body: str, flags: Sequence[str] = (), environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(body), *flags],
        capture_output=True,
        text=True,
        cwd=TOP,
        env={**os.environ, **(environment or {})},
        check=False,
    )


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ("pass", 0, ""),
        ("raise InputError('--users x: no such file')", 2, "error: --users x: no such file\n"),
        ("raise RunError('the pipeline failed')", 1, "failed: the pipeline failed\n"),
        ("os.kill(os.getpid(), signal.SIGINT); time.sleep(60)", 130, "interrupted\n"),
        ("os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)", 143, "terminated\n"),
        ("raise KeyboardInterrupt", 130, "interrupted\n"),
    ],
)
def test_a_command_ends_with_one_line_and_its_status(body: str, status: int, error: str) -> None:
    done = run_command(f"print('said')\n{body}")
    assert (done.returncode, done.stdout, done.stderr) == (status, "said\n", error)


def test_clean_up_is_done_before_an_interrupted_command_ends(tmp_path: Path) -> None:
    """A second Ctrl-C, as of an impatient hand, does not break it off."""
    body = f"""
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except BaseException:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
    open({str(tmp_path / "cleaned")!r}, "w").close()
    raise
"""
    done = run_command(body)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
    assert (tmp_path / "cleaned").exists()


def test_threads_that_go_on_hold_up_no_interrupted_command() -> None:
    body = (
        "import threading\nthreading.Thread(target=time.sleep, args=(60,)).start()\nos.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run(command(body), capture_output=True, text=True, cwd=TOP, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted\n")


def test_a_command_that_a_shell_started_in_the_background_ignores_ctrl_c() -> None:
    body = "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(0.1)\nprint('went on')"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        done = run_command(body)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


@pytest.mark.parametrize("environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}])
def test_titles_that_the_encoding_lacks_are_escaped(environment: dict[str, str]) -> None:
    done = run_command(f"print({TITLE!a})\nraise InputError({TITLE!a})", environment=environment)
    assert done.returncode == 2
    for text in (done.stdout, done.stderr.removeprefix("error: ")):
        assert text.strip() in (TITLE, TITLE.encode("ascii", "backslashreplace").decode())
    if "PYTHONIOENCODING" in environment:
        assert done.stdout.isascii()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("for number in range(100_000): print(number)", 141),
        ("print('first', flush=True); time.sleep(0.5); print('second')", 141),
        ("print('first', flush=True); time.sleep(0.5); raise InputError('wrong')", 2),
    ],
)
def test_a_closed_pipe_is_no_error_of_ours(body: str, status: int) -> None:
    process = subprocess.Popen(command(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=TOP)
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read().decode()
    assert process.wait(30) == status
    assert error == ("error: wrong\n" if status == 2 else "")
    process.stderr.close()


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ([], ["info", "warning", "library warning"]),
        (["--log_level", "debug"], ["info", "warning", "library info", "library warning"]),
        (["--log_level=error"], ["library warning"]),
        (["--log_level", "loud"], ["info", "warning", "library warning"]),
    ],
)
def test_the_log_level_is_of_our_own_lines(flags: list[str], shown: list[str]) -> None:
    body = """
for name, prefix in (("model.x", ""), ("library", "library ")):
    logging.getLogger(name).info(prefix + "info")
    logging.getLogger(name).warning(prefix + "warning")
"""
    done = run_command(body, flags)
    assert [line.partition(" ")[2] for line in done.stderr.splitlines()] == shown


def test_about_names_the_flag() -> None:
    with pytest.raises(InputError, match=r"^--users x: no such file$"), about("--users"):
        raise InputError("x: no such file")


def test_help_shows_an_example_and_defaults_that_are_there() -> None:
    parser = FlagParser("nightrank job", "Do it.", "nightrank job --n 3", passes_on="Beam")
    parser.add_argument("--n", type=int, default=3, help="how many")
    parser.add_argument("--where", default="", help="a folder")
    text = parser.format_help()
    assert "how many (default: 3)" in text
    assert "a folder\n" in text
    assert text.endswith("example:\n  nightrank job --n 3\n\nAny other flag goes to Beam.\n")


def test_a_wrong_flag_is_an_input_error_and_nothing_is_abbreviated() -> None:
    parser = FlagParser("nightrank job")
    parser.add_argument("--number", type=int)
    with pytest.raises(InputError, match=r"unrecognized arguments: --num 3; see nightrank job --help$"):
        parser.parse_args(["--num", "3"])
