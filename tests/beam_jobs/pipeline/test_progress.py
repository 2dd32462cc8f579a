"""The progress of a run is that of all its workers, wherever on this machine they are."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest

from beam_jobs.pipeline import execution, progress
from beam_jobs.pipeline.options import parse_flags
from beam_jobs.pipeline.progress import Phase, RunStoppedError, followed, in_finished_files, report
from model.cli import FlagParser

TOP = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def shown(caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a command shows progress; each test has a temporary folder of its own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(progress.tempfile, "tempdir", None)
    with caplog.at_level("INFO", "model"):
        yield
    assert not list(tmp_path.glob("nightrank-*"))


def phases_of(text: str) -> list[str]:
    """Name and amount of each phase that ended, without seconds and rates, which differ."""
    return [" ".join(line.partition(" in ")[0].split()) for line in text.splitlines() if " in " in line]


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_reports_of_threads_and_of_processes_are_added_up(capsys: pytest.CaptureFixture[str]) -> None:
    script = "from beam_jobs.pipeline.progress import report; report('abc', 'scoring', 30)"
    with followed("abc", [Phase("starting"), Phase("scoring", 100, "users"), Phase("publishing")]):
        time.sleep(3 * progress.POLL_SECONDS)
        report("abc", "scoring", 0)
        threads = [threading.Thread(target=report, args=("abc", "scoring", 10)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            subprocess.run([sys.executable, "-c", script], check=True, cwd=TOP)
        time.sleep(3 * progress.POLL_SECONDS)
    assert phases_of(capsys.readouterr().err) == ["starting done", "scoring 100 users", "publishing done"]


def test_work_that_lies_there_counts_where_nobody_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.05)
    finished = in_finished_files(str(tmp_path / "*.parquet"), {"a.parquet": 30, "b.parquet": 70})
    looked = []

    def look() -> int:
        looked.append(finished())
        return looked[-1]

    with followed("abc", [Phase("starting"), Phase("scoring", 100, "users", finished=look), Phase("publishing")]):
        for name in ("a.parquet", "stray.parquet", "b.parquet"):
            (tmp_path / name).touch()
            wait_until(lambda: bool(looked) and looked[-1] == finished())
        time.sleep(3 * progress.POLL_SECONDS)
    assert looked[-1] == 100
    assert phases_of(capsys.readouterr().err) == ["starting done", "scoring 100 users", "publishing done"]


def test_a_look_that_fails_stops_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "LOOK_SECONDS", 0.0)

    def fail() -> int:
        raise OSError("no network")

    with followed("abc", [Phase("scoring", 100, "users", finished=fail)]):
        time.sleep(3 * progress.POLL_SECONDS)
    assert phases_of(capsys.readouterr().err) == ["scoring 100 users"]


def test_a_phase_inside_another_tells_its_own_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    with followed("abc", [Phase("scoring", 2, "users"), Phase("auditing", 2, "users")]):
        for name in ("scoring", "auditing", "scoring", "auditing"):
            report("abc", name, 1)
            time.sleep(3 * progress.POLL_SECONDS)
    lines = capsys.readouterr().err.splitlines()
    assert phases_of("\n".join(lines)) == ["scoring 2 users", "auditing 2 users"]
    assert float(lines[1].partition(" in ")[2].split()[0]) >= 0.5


def test_nothing_remains_of_the_phase_in_which_a_run_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with followed("abc", [Phase("reading", 1), Phase("scoring", 9)]):
            report("abc", "reading", 1)
            time.sleep(3 * progress.POLL_SECONDS)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert phases_of(capsys.readouterr().err) == ["reading 1"]


def test_a_worker_of_a_run_elsewhere_reports_to_nobody() -> None:
    report("of-another-machine", "scoring", 1)
    assert not progress.file_of("of-another-machine").exists()


def test_a_stopped_run_ends_its_threads() -> None:
    with followed("stopped", []):
        progress.stop("stopped")
        with pytest.raises(RunStoppedError):
            report("stopped", "scoring", 1)


def tell(number: int, run_id: str) -> None:
    report(run_id, "scoring", number)


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading", "multi_processing"])
def test_workers_of_a_pipeline_are_heard(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = parse_flags(FlagParser(prog="job"), [f"--direct_running_mode={mode}", "--direct_num_workers=2"])[1]
    pipeline = beam.Pipeline(options=options)
    numbers = range(1, 11)
    _ = pipeline | beam.Create(numbers) | beam.Reshuffle() | beam.Map(tell, "abc")
    heard: list[int] = []
    watch = threading.Thread(target=lambda: heard.extend(_lines("abc")))
    watch.start()
    execution.run(pipeline, run_id="abc", phases=[Phase("scoring", sum(numbers), "users")])
    watch.join()
    assert sum(heard) == sum(numbers)
    assert phases_of(capsys.readouterr().err)[-1] == f"scoring {sum(numbers)} users"


def _lines(run_id: str) -> list[int]:
    """The last that the run's file held before it went."""
    path = progress.file_of(run_id)
    wait_until(path.exists)
    held: list[int] = []
    while True:
        try:
            text = path.read_text()
        except FileNotFoundError:
            return held
        held = [int(line.split()[1]) for line in text.splitlines()]
        time.sleep(0.002)
