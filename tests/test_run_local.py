"""`run_local.sh` as far as it goes without setting anything up."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script and the lock file alone, with an environment whose Python writes down what it is asked to run."""
    for name in ("run_local.sh", "requirements.txt"):
        shutil.copy(TOP / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\nprintf "%s " "$@" >>"$0.log"; echo >>"$0.log"; exit ${EXIT_OF_PYTHON:-0}\n')
    python.chmod(0o755)
    stamp = subprocess.run(
        "sha256sum <requirements.txt", shell=True, capture_output=True, text=True, cwd=tmp_path, check=True
    )
    (tmp_path / ".venv" / ".set-up").write_text(stamp.stdout)
    return tmp_path


def run(checkout: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "run_local.sh", *flags],
        capture_output=True,
        text=True,
        cwd=checkout.parent,
        env={**os.environ, **environment},
        check=False,
    )


def asked(checkout: Path) -> list[list[str]]:
    log = checkout / ".venv" / "bin" / "python.log"
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def test_the_whole_flow_in_order_with_flags_where_they_belong(checkout: Path) -> None:
    done = run(
        checkout, "--dataset", "d.parquet", "--top_n=7", "--model", "tuned", "--min_score", "3", "--run_date=2024-02-29"
    )
    assert (done.returncode, done.stderr) == (0, "")
    check, *_ = asked(checkout)
    assert check[0] == "-c"
    train, prepare, score, summary = [command for command in asked(checkout) if command[:1] == ["-m"]]
    work = checkout / "runs" / "local"
    assert train[:2] == ["-m", "model.train"]
    assert {"--dataset=d.parquet", "--model=tuned", "--refit"} <= set(train)
    assert prepare == ["-m", "beam_jobs.prepare", "--dataset=d.parquet", "--output", str(work)]
    assert score[:4] == ["-m", "beam_jobs.score", "--model", str(work / "model")]
    assert score[-6:] == ["--top_n", "7", "--run_date", "2024-02-29", "--min_score", "3"]
    assert summary == ["-m", "beam_jobs.summary", "--work_dir", str(work), "--run_date", "2024-02-29"]


def test_test_and_bench_pass_their_arguments_on(checkout: Path) -> None:
    assert run(checkout, "test", "-k", "audit").returncode == 0
    assert run(checkout, "bench", "--json", "f").returncode == 0
    assert asked(checkout) == [["-m", "pytest", "-k", "audit"], ["-m", "tests.benchmarks", "--json", "f"]]


def test_the_exit_status_of_a_stage_ends_the_run(checkout: Path) -> None:
    done = run(checkout, EXIT_OF_PYTHON="2")
    assert done.returncode == 2
    assert len(asked(checkout)) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--top_n", "0"], "--top_n is 0"),
        (["--top_n", "many"], "--top_n is many"),
        (["--run_date", "yesterday"], "--run_date yesterday: not a date"),
        (["--run_date", "2024-02-30"], "--run_date 2024-02-30: not a date"),
        (["--dataset"], "--dataset needs a value"),
    ],
)
def test_mistakes_are_told_before_anything_runs(checkout: Path, flags: list[str], message: str) -> None:
    done = run(checkout, *flags)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert message in done.stderr
    assert asked(checkout) == []


def test_a_python_that_is_too_old_is_one_line(checkout: Path) -> None:
    (checkout / ".venv" / ".set-up").unlink()
    old = checkout / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run(checkout, "--help", PYTHON=str(old))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "no Python 3.10 to 3.13" in done.stderr


def test_help_names_every_flag_it_takes(checkout: Path) -> None:
    done = run(checkout, "--help")
    assert done.returncode == 0
    for flag in (
        "--dataset",
        "--columns",
        "--tfds_data_dir",
        "--work_dir",
        "--top_n",
        "--run_date",
        "--model",
        "--seed",
    ):
        assert f"\n  {flag} " in done.stdout


def test_it_can_be_called_by_a_link_from_anywhere(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / "nightrank"
    link.symlink_to(checkout / "run_local.sh")
    done = subprocess.run([link, "--work_dir", "mine"], capture_output=True, text=True, cwd=link.parent, check=False)
    assert done.returncode == 0
    assert asked(checkout)[1][-2:] == ["--output", "mine"]
