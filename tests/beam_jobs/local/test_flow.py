"""The whole flow on one machine, with stages that write down what they are asked."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from beam_jobs.local.__main__ import build_parser, main, plan
from model.cli import InputError

TOP = Path(__file__).parents[3]

PYTHON = """#!/bin/sh
printf "%s " "$@" >>"$0.log"
echo >>"$0.log"
case "$*" in
  "-m beam_jobs engines"*)
    [ -z "$EXIT_OF_ENGINE" ] || exit $EXIT_OF_ENGINE
    printf '%s\\n' --runner=PortableRunner '--environment_config={"command": "w"}' >"$8"
    trap 'echo stopped >>"$0.log"; exit 0' TERM
    while :; do sleep 0.1; done
    ;;
  "-m beam_jobs train"*)
    [ -z "$TRAINS" ] || exec sleep 60
    ;;
esac
exit ${EXIT_OF_STAGE:-0}
"""
"""Stages end at once; an engine writes flags and runs until it is told to stop."""


@pytest.fixture
def python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The interpreter that stages are started with."""
    path = tmp_path / "python"
    path.write_text(PYTHON)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    monkeypatch.chdir(tmp_path)
    return path


def asked(python: Path) -> list[list[str]]:
    log = python.with_name("python.log")
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def flags_of(stage: list[str]) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in stage if word.startswith("--"))


def test_stages_run_in_order_with_flags_where_they_belong(python: Path, capfd: pytest.CaptureFixture[str]) -> None:
    flags = ["--top_n=7", "--model", "tuned", "--epochs", "3", "--min_score", "3", "--run_date=2024-02-29"]
    main(["--work_dir", "w", *flags])
    train, prepare, score, summary = asked(python)
    assert [stage[2] for stage in asked(python)] == [
        "train",
        "prepare",
        "score",
        "summary",
    ]
    assert train[3:] == ["--epochs", "3", "--model=tuned", "--refit", "--model_dir=w/model"]
    assert prepare[3:] == ["--output=w"]
    assert score[3:] == [
        "--model=w/model",
        "--users=w/users/*.parquet",
        "--candidates=w/candidates/*.parquet",
        "--output=w",
        "--top_n=7",
        "--min_score",
        "3",
        "--run_date=2024-02-29",
        "--allow_unblessed",
    ]
    assert summary[3:] == ["--work_dir=w", "--run_date=2024-02-29"]
    headings = [line.rpartition(" (")[0] for line in capfd.readouterr().out.splitlines() if line]
    assert headings == [
        "== train",
        "== prepare users and candidates",
        "== score every user x candidate",
        "== result",
    ]


def test_a_dataset_goes_to_training_and_preparing(python: Path, tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("uid,movie_title\n1,A\n")
    main(["--work_dir", "w", "--dataset", "d.csv", "--columns=user_id=uid"])
    train, prepare, score, _ = asked(python)
    for stage in (train, prepare):
        assert stage[3:6] == ["--dataset", "d.csv", "--columns=user_id=uid"]
    assert "--dataset" not in score


def test_a_relevance_model_has_to_pass_the_gate_and_a_run_has_one_date(python: Path) -> None:
    main(["--work_dir", "w"])
    _, _, score, summary = asked(python)
    assert "--allow_unblessed" not in score
    assert date.fromisoformat(flags_of(score)["--run_date"])
    assert flags_of(score)["--run_date"] == flags_of(summary)["--run_date"]


def test_vectors_that_lie_beside_the_model_get_into_the_users_table(python: Path) -> None:
    main(["--work_dir", "w", "--user_vectors", "apart"])
    assert flags_of(asked(python)[1])["--with_vectors"] == "w/model"


def test_a_run_that_is_only_staged_shows_no_result(python: Path) -> None:
    main(["--work_dir", "w", "--stage_only"])
    assert [stage[2] for stage in asked(python)] == ["train", "prepare", "score"]


@pytest.mark.parametrize("flags", [["--runner", "flink"], ["--runner=flink"]])
def test_an_engine_runs_around_the_stages_and_its_flags_go_to_prepare_and_score(
    python: Path, flags: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    main(["--work_dir", "w", *flags])
    engine, train, prepare, score, summary, stopped = asked(python)
    assert engine[:4] == ["-m", "beam_jobs", "engines", "flink"]
    assert stopped == ["stopped"]
    for job in (prepare, score):
        assert job[-3:] == ["--runner=PortableRunner", '--environment_config={"command":', '"w"}']
    for stage in (train, summary):
        assert "--runner=PortableRunner" not in stage
    assert not Path(engine[5]).exists()
    assert "== start flink" in capfd.readouterr().out


def test_an_engine_that_does_not_start_ends_the_run_before_training(
    python: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXIT_OF_ENGINE", "2")
    with pytest.raises(SystemExit) as ended:
        main(["--work_dir", "w", "--runner", "prism"])
    assert ended.value.code == 2
    assert len(asked(python)) == 1
    # The engine has said why itself, and there is no log to point at.
    assert capfd.readouterr().err == ""


def test_a_stage_that_fails_ends_the_run_with_its_status_and_keeps_the_logs_of_the_engine(
    python: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EXIT_OF_STAGE", "3")
    with pytest.raises(SystemExit) as ended:
        main(["--work_dir", "w", "--runner", "prism"])
    assert ended.value.code == 3
    engine, _, stopped = asked(python)
    assert stopped == ["stopped"]
    assert capfd.readouterr().err == f"logs of the engine: {engine[5]}\n"
    shutil.rmtree(engine[5])


def test_another_runner_is_for_beam(python: Path) -> None:
    main(["--work_dir", "w", "--runner", "DirectRunner"])
    _, prepare, score, _ = asked(python)
    assert "--runner" not in flags_of(prepare)
    assert flags_of(score)["--runner"] == "DirectRunner"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--top_n 0", "--top_n is 0"),
        ("--top_n many", "--top_n: invalid int value: 'many'"),
        ("--min_score nan", "--min_score is nan"),
        ("--exclude_titles nowhere.txt", "--exclude_titles nowhere.txt: cannot be read"),
        ("--run_date yesterday", "--run_date yesterday: not a date"),
        ("--run_date 2024-02-30", "--run_date 2024-02-30: not a date"),
        ("--dataset", "--dataset: expected one argument"),
        ("--dataset nowhere.csv", "--dataset nowhere.csv: no such dataset"),
        ("--columns user=uid", "--columns user=uid: 'user' is not a name of ours"),
        ("--columns user_id=uid", "--dataset sample: its columns have fixed names"),
        ("--model tune", "--model: invalid choice: 'tune'"),
        ("--split halves", "--split: invalid choice: 'halves'"),
        ("--split given", "--split given: needs --validation_dataset"),
        ("--split last_n --last_n 0", "--last_n 0: give a whole number"),
        ("--epochs 0", "--epochs 0: give a whole number"),
        ("--epoch 3", "--epoch is a flag of neither this job nor Beam"),
        ("--min_scor 3", "did you mean --min_score?"),
        ("--output X", "--output is not for the whole flow; name --work_dir"),
        ("--work_dir=", "--work_dir is empty"),
        ("--work_dir /proc/nowhere", "--work_dir /proc/nowhere: cannot be written"),
        ("--runner Dream", "--runner Dream: "),
    ],
)
def test_mistakes_in_flags_of_any_stage_are_told_before_the_first_one(python: Path, flags: str, message: str) -> None:
    with pytest.raises(InputError) as told:
        main(["--work_dir", "w", *flags.split()])
    assert message in str(told.value)
    assert "\n" not in str(told.value)
    assert asked(python) == []


def test_the_script_tells_the_flags_of_the_flow(tmp_path: Path) -> None:
    text = subprocess.run([TOP / "run_local.sh", "--help"], capture_output=True, text=True, check=True).stdout
    flags = {f for action in build_parser()._actions for f in action.option_strings if f.startswith("--")}
    for flag in {*flags, "--dataset", "--columns", "--tfds_data_dir", "--top_n", "--run_date", "--seed"} - {
        "--help",
        "--log_level",
    }:
        assert f"\n  {flag} " in text


@contextmanager
def training(python: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A flow, in a group of processes of its own as in a terminal, that has begun to train."""
    program = f"import sys; from beam_jobs.local.__main__ import main, run; sys.executable = {str(python)!r}; run(main)"
    environment = {**os.environ, "TRAINS": "1", "PYTHONPATH": str(TOP)}
    interpreter = Path(sys.prefix) / "bin" / "python"
    process = subprocess.Popen(
        [interpreter, "-c", program, "--work_dir", "w"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 300
        while not asked(python):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_ctrl_c_ends_the_stage_and_the_run(python: Path, tmp_path: Path) -> None:
    with training(python, tmp_path) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in said
    assert len(asked(python)) == 1


def test_being_told_to_end_ends_the_stage_too(python: Path, tmp_path: Path) -> None:
    with training(python, tmp_path) as process:
        process.terminate()
        process.communicate(timeout=30)
    # Its output has ended, so that no process of it is left.
    assert process.returncode == 128 + signal.SIGTERM


def test_nothing_is_left_where_it_was_only_checked(python: Path, tmp_path: Path) -> None:
    stages, engine = plan(["--work_dir", "w"])
    assert (len(stages), engine) == (4, None)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["python", "w"]
