"""`run_local.sh` as far as it goes without setting anything up."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]

PYTHON = """#!/bin/sh
printf "%s " "$@" >>"$0.log"
echo >>"$0.log"
case "$*" in
  "-m beam_jobs.engines"*)
    [ -z "$EXIT_OF_ENGINE" ] || exit $EXIT_OF_ENGINE
    printf '%s\\n' --runner=PortableRunner '--environment_config={"command": "w"}' >"$7"
    trap 'echo stopped >>"$0.log"; exit 0' TERM
    while :; do sleep 0.1; done
    ;;
esac
exit ${EXIT_OF_PYTHON:-0}
"""
"""Writes down what it is asked to run; as an engine it writes flags and runs until it is told to stop."""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The script and the lock file alone, with an environment whose Python writes down what it is asked to run."""
    for name in ("run_local.sh", "requirements.txt"):
        shutil.copy(TOP / name, tmp_path / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PYTHON)
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
    assert train[2:5] == ["--dataset=d.parquet", "--model", "tuned"]
    assert "--refit" in train
    assert prepare == ["-m", "beam_jobs.prepare", "--dataset=d.parquet", "--output", str(work)]
    assert score[:4] == ["-m", "beam_jobs.score", "--model", str(work / "model")]
    assert score[-7:] == ["--top_n", "7", "--run_date", "2024-02-29", "--min_score", "3", "--allow_unblessed"]
    assert summary == ["-m", "beam_jobs.summary", "--work_dir", str(work), "--run_date", "2024-02-29"]


@pytest.mark.parametrize("flags", [["--runner", "flink"], ["--runner=flink"]])
def test_an_engine_runs_around_the_flow_and_its_flags_go_to_prepare_and_score(checkout: Path, flags: list[str]) -> None:
    done = run(checkout, "--work_dir", "w", *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert "== start flink" in done.stdout
    engine, train, prepare, score, summary, stopped = asked(checkout)
    assert engine[:3] == ["-m", "beam_jobs.engines", "flink"]
    assert stopped == ["stopped"]
    for job in (prepare, score):
        assert job[-3:] == ["--runner=PortableRunner", '--environment_config={"command":', '"w"}']
    assert train[1] == "model.train"
    assert summary[1] == "beam_jobs.summary"
    assert not Path(engine[4]).exists()


def test_an_engine_that_does_not_start_ends_the_run_before_training(checkout: Path) -> None:
    done = run(checkout, "--runner", "prism", EXIT_OF_ENGINE="2")
    assert done.returncode == 2
    # The engine has said why itself, and there is no log to point at.
    assert done.stderr == ""
    assert len(asked(checkout)) == 1


def test_an_engine_is_stopped_and_its_logs_are_kept_when_a_stage_fails(checkout: Path) -> None:
    done = run(checkout, "--runner", "prism", EXIT_OF_PYTHON="1")
    assert done.returncode == 1
    engine, _, stopped = asked(checkout)
    assert stopped == ["stopped"]
    assert done.stderr == f"logs of the engine: {engine[4]}\n"
    shutil.rmtree(engine[4])


def test_other_runners_are_for_beam(checkout: Path) -> None:
    assert run(checkout, "--runner", "DirectRunner").returncode == 0
    _, prepare, score, _ = [command for command in asked(checkout) if command[:1] == ["-m"]]
    assert "--runner=DirectRunner" not in prepare
    assert score[-1] == "--runner=DirectRunner"


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
        "--runner",
    ):
        assert f"\n  {flag} " in done.stdout


def test_it_can_be_called_by_a_link_from_anywhere(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / "nightrank"
    link.symlink_to(checkout / "run_local.sh")
    done = subprocess.run([link, "--work_dir", "mine"], capture_output=True, text=True, cwd=link.parent, check=False)
    assert done.returncode == 0
    assert asked(checkout)[1][-2:] == ["--output", "mine"]
