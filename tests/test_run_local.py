"""`run_local.sh` and `run_dataflow.sh`: what they set up, and what they run in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]

PYTHON = """#!/bin/sh
echo "$PYTHONSAFEPATH $PYTHONPATH" >>"$0.environment"
printf "%s " "$@" >>"$0.log"
echo >>"$0.log"
exit ${EXIT_OF_PYTHON:-0}
"""
"""Writes down what it is asked to run."""

UV = """#!/bin/sh
echo "$@" >>"$0.log"
echo 'Downloading tensorflow (547.3MiB)'
echo ' Downloaded tensorflow'
echo ' + tensorflow==2.21.0'
[ -z "$SAID_BY_UV" ] || echo "$SAID_BY_UV"
exit ${EXIT_OF_UV:-0}
"""
"""Writes down what it is asked to install, and installs nothing."""


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """The scripts and the lock files alone, and a `uv` that installs nothing."""
    for name in ("run_local.sh", "run_dataflow.sh"):
        shutil.copy(TOP / name, tmp_path / name)
    shutil.copytree(TOP / "locks", tmp_path / "locks")
    write_program(tmp_path / "tools" / "uv", UV)
    return tmp_path


@pytest.fixture
def checkout(empty: Path) -> Path:
    """Set up in all parts, with a Python that writes down what it is asked to run."""
    assert run(empty, "set_up", "gcp", "dev").returncode == 0
    python = empty / ".venv" / "bin" / "python"
    python.unlink()
    write_program(python, PYTHON)
    return empty


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def run(
    checkout: Path, *flags: str, script: str = "run_local.sh", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    path = f"{checkout / 'tools'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [checkout / script, *flags],
        capture_output=True,
        text=True,
        cwd=cwd or checkout.parent,
        env={**os.environ, "PATH": path, "PYTHON": sys.executable, **environment},
        check=False,
    )


def lines(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def asked(checkout: Path) -> list[list[str]]:
    return lines(checkout / ".venv" / "bin" / "python.log")


def installed(checkout: Path) -> list[list[str]]:
    """The parts of each installation."""
    logged = lines(checkout / "tools" / "uv.log")
    return [[Path(word).stem for word in words if word.endswith(".txt")] for words in logged]


def test_help_sets_nothing_up(empty: Path) -> None:
    done = run(empty, "--help", PYTHON="/no/such/python")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ./run_local.sh")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert not (empty / ".venv").exists()


def test_set_up_installs_each_part_once(empty: Path) -> None:
    for parts in ([], [], ["gcp"], ["gcp", "dev"]):
        done = run(empty, "set_up", *parts)
        assert (done.returncode, done.stdout) == (0, "")
    assert installed(empty) == [["local"], ["gcp"], ["dev"]]
    assert asked(empty) == []


def test_set_up_says_how_far_it_is_and_not_what_it_installed(empty: Path) -> None:
    done = run(empty, "set_up", SAID_BY_UV="warning: a mirror is slow")
    assert done.returncode == 0
    assert "installing about" in done.stderr
    assert "warning: a mirror is slow\n" in done.stderr
    assert "tensorflow" not in done.stderr
    assert "set up in " in done.stderr


def test_the_command_of_the_environment_runs_the_checkout(checkout: Path) -> None:
    done = subprocess.run([checkout / ".venv" / "bin" / "nightrank", "score", "--top_n", "3"], check=False)
    assert done.returncode == 0
    assert asked(checkout) == [["-m", "beam_jobs", "score", "--top_n", "3"]]


def test_a_part_whose_lock_file_changed_is_installed_anew_in_an_empty_environment(empty: Path) -> None:
    assert run(empty, "set_up").returncode == 0
    left = empty / ".venv" / "left"
    left.touch()
    with (empty / "locks" / "local.txt").open("a") as lock:
        lock.write("# changed\n")
    assert run(empty, "set_up").returncode == 0
    assert installed(empty) == [["local"], ["local"]]
    assert not left.exists()


def test_a_set_up_that_was_interrupted_begins_anew(empty: Path) -> None:
    assert run(empty, "set_up").returncode == 0
    left = empty / ".venv" / "left"
    left.touch()
    (empty / ".venv" / ".set-up").write_text("unfinished\n")
    assert run(empty, "set_up", "gcp").returncode == 0
    assert installed(empty) == [["local"], ["local", "gcp"]]
    assert not left.exists()


def test_where_uv_fails_pip_is_tried_and_a_failure_of_both_is_told(empty: Path) -> None:
    for lock in ("local", "gcp", "dev"):
        (empty / "locks" / f"{lock}.txt").write_text("no-such-package==1 --hash=sha256:0000\n")
    done = run(empty, "set_up", EXIT_OF_UV="1", SAID_BY_UV="error: no index", PIP_NO_INDEX="1", PIP_FIND_LINKS="/none")
    assert done.returncode == 2
    assert "error: no index\n  uv did not do it; trying pip" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: the packages could not be installed; see above")
    # What is half there is not taken for done.
    assert run(empty, "set_up").returncode == 0
    assert len(installed(empty)) == 2


def test_an_environment_of_the_users_own_is_left_alone(empty: Path) -> None:
    theirs = empty / ".venv" / "theirs"
    theirs.parent.mkdir()
    theirs.touch()
    done = run(empty)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {empty / '.venv'} is there, and this script did not make it; move it away, and run this again\n"
    )
    assert theirs.exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_checkout_that_cannot_be_written_is_told_first(empty: Path) -> None:
    empty.chmod(0o555)
    done = run(empty)
    empty.chmod(0o755)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {empty} cannot be written")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tests"], "tests: neither a flag nor test, bench or set_up; see ./run_local.sh --help"),
        (["set_up", "gpu"], "set_up gpu: there is no such part; give gcp or dev"),
    ],
)
def test_mistakes_are_told_before_anything_is_set_up(empty: Path, words: list[str], message: str) -> None:
    done = run(empty, *words)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")
    assert not (empty / ".venv").exists()


def test_a_python_that_is_too_old_is_one_line(empty: Path) -> None:
    write_program(empty / "old-python", "#!/bin/sh\nexit 1\n")
    done = run(empty, PYTHON=str(empty / "old-python"))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no Python 3.10 to 3.13" in done.stderr


def test_flags_go_to_the_flow_which_works_in_the_checkout_unless_told_otherwise(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    assert run(checkout, "--work_dir", "mine", "--top_n=7", EXIT_OF_PYTHON="3").returncode == 3
    here = ["-m", "beam_jobs", "local", "--work_dir", str(checkout / "runs" / "local")]
    assert asked(checkout) == [here, [*here, "--work_dir", "mine", "--top_n=7"]]


def test_test_and_bench_pass_their_arguments_on(checkout: Path) -> None:
    assert run(checkout, "test", "-k", "audit").returncode == 0
    assert run(checkout, "bench", "--json", "f").returncode == 0
    assert asked(checkout) == [["-m", "pytest", "-k", "audit"], ["-m", "tests.benchmarks", "--json", "f"]]
    assert installed(checkout) == [["local", "gcp", "dev"]]


def test_run_dataflow_sets_up_what_it_needs_and_passes_its_arguments_on(checkout: Path) -> None:
    done = run(checkout, "--project", "p", script="run_dataflow.sh")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert asked(checkout) == [["-m", "beam_jobs", "dataflow", "--project", "p"]]


def test_it_can_be_called_by_a_link_from_anywhere(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / "nightrank"
    link.symlink_to(checkout / "run_local.sh")
    done = subprocess.run([link, "--work_dir", "mine"], capture_output=True, text=True, cwd=link.parent, check=False)
    assert done.returncode == 0
    assert asked(checkout)[0][-2:] == ["--work_dir", "mine"]


def test_no_module_comes_from_the_callers_path(checkout: Path) -> None:
    for script in ("run_local.sh", "run_dataflow.sh"):
        assert run(checkout, script=script, PYTHONPATH=".").returncode == 0
    assert lines(checkout / ".venv" / "bin" / "python.environment") == [["1", str(checkout)]] * 2


def test_modules_of_the_working_directory_are_not_imported(
    empty: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """On Python 3.10 too, which knows no PYTHONSAFEPATH; by what a stage starts with `python -m` as well."""
    folder = tmp_path_factory.mktemp("working")
    for name in ("random", "csv", "argparse", "runpy", "sitecustomize", "model", "beam_jobs"):
        (folder / f"{name}.py").write_text("raise SystemExit('imported from the working directory')\n")
    package = empty / "beam_jobs"
    package.mkdir()
    (package / "__init__.py").touch()
    start = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-m', 'beam_jobs.stage']))"
    (package / "__main__.py").write_text(f"import random, csv, argparse; {start}")
    (package / "stage.py").write_text("import random, csv, argparse; print(random.__file__)")
    assert run(empty, "set_up", "gcp", cwd=folder).returncode == 0
    done = [run(empty, cwd=folder), run(empty, script="run_dataflow.sh", cwd=folder)]
    command = [empty / ".venv" / "bin" / "nightrank"]
    # The tests' own environment may name this checkout on the path, which would come first.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done.append(subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False))
    for process in done:
        assert (process.returncode, process.stderr) == (0, "")
        assert process.stdout.endswith("random.py\n")
        assert str(folder) not in process.stdout
