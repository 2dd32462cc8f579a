"""`nightrank`, the one command for every stage."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from beam_jobs.__main__ import COMMANDS

TOP = Path(__file__).parents[2]


def nightrank(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "beam_jobs", *words], capture_output=True, text=True, cwd=TOP, check=False
    )


def test_help_lists_every_command_on_a_line_of_its_own() -> None:
    done = nightrank("--help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == list(COMMANDS)
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_help_imports_no_large_library() -> None:
    program = (
        "import sys; from beam_jobs.__main__ import start; start(['--help']); "
        "print(sorted({'tensorflow', 'apache_beam', 'pyarrow', 'numpy'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=TOP, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scor"], "scor: no command of nightrank; did you mean score?"),
        (["xyz"], "xyz: no command of nightrank; see nightrank --help"),
        ([], "no command; see nightrank --help"),
    ],
)
def test_a_command_that_is_not_there_is_one_line(words: list[str], message: str) -> None:
    done = nightrank(*words)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


def test_flags_and_exit_status_are_those_of_the_command(tmp_path: Path) -> None:
    done = nightrank("summary", "--work_dir", str(tmp_path))
    assert done.returncode == 2
    assert str(tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_module_with_flags(name: str) -> None:
    module = importlib.import_module(COMMANDS[name].module)
    assert module.build_parser().description
    assert callable(module.main)
