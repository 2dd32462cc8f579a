"""Around a pipeline: flags that nobody knows, runners that cannot run, counters, and errors of workers."""

from __future__ import annotations

import logging
import os
from datetime import datetime, timedelta, timezone

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions, StandardOptions

from beam_jobs.pipeline import launch
from model.cli import FlagParser, InputError, RunError


def parser() -> FlagParser:
    made = FlagParser(prog="job")
    made.add_argument("--output", default="here")
    return made


def in_process(*flags: str) -> beam.Pipeline:
    return beam.Pipeline(options=launch.parse(parser(), flags)[1])


def test_own_flags_are_taken_and_the_rest_is_beams() -> None:
    args, options = launch.parse(parser(), ["--output", "there", "--direct_num_workers=3"])
    assert args.output == "there"
    assert options.view_as(DirectOptions).direct_num_workers == 3


@pytest.mark.parametrize("flags", [[], ["--runner=DirectRunner"], ["--runner", "direct"], ["--runner=FnApiRunner"]])
def test_a_local_run_is_pinned_to_the_runner_that_downloads_nothing(flags: list[str]) -> None:
    _, options = launch.parse(parser(), flags)
    assert options.view_as(StandardOptions).runner == launch.IN_PROCESS_RUNNER


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--outptu=x"], "--outptu is a flag of neither this job nor Beam; did you mean --output?"),
        (["--direct_num_worker", "2"], "did you mean --direct_num_workers?"),
        (["--direct_num_workers", "2", "stray"], "stray is a flag of neither"),
        (["-o", "x"], "-o is a flag of neither"),
        (["--runner=dataflow", "--regoin=x"], "did you mean --region?"),
        (["--direct_num_workers=two"], "argument --direct_num_workers: invalid int value: 'two'; see job --help"),
        (["--output"], "argument --output: expected one argument; see job --help"),
        (["--runner=Foo"], "--runner Foo: Unexpected pipeline runner"),
        (["--runner=no_such.module.Runner"], "--runner no_such.module.Runner: No module named"),
        (["--runner=DataflowRunner"], "Missing required option: project"),
    ],
)
def test_wrong_flags_are_one_line(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError) as caught:
        launch.parse(parser(), flags)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().err == ""
    assert not caplog.records


def test_a_portable_runner_may_take_options_that_beam_does_not_know() -> None:
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--state.backend=rocksdb"]
    _, options = launch.parse(parser(), flags)
    assert options.view_as(StandardOptions).runner == "PortableRunner"


def test_processes_times_threads_is_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def threads(*flags: str) -> int:
        return launch.threads_a_process(launch.parse(parser(), flags)[1])

    assert threads() == 8
    assert threads("--direct_num_workers=4") == 8
    assert threads("--direct_running_mode=multi_processing", "--direct_num_workers=4") == 2
    assert threads("--direct_running_mode=multi_processing", "--direct_num_workers=0") == 1
    assert threads("--direct_running_mode=multi_processing") == 8
    assert threads("--runner=PortableRunner", "--job_endpoint=localhost:1") == 1


def test_a_local_run_takes_all_cores_unless_flags_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def mode(*flags: str) -> tuple[str, int]:
        direct = launch.parse(parser(), flags)[1].view_as(DirectOptions)
        return direct.direct_running_mode, direct.direct_num_workers

    assert mode() == ("multi_threading", 9)
    assert mode("--direct_num_workers=1") == ("in_memory", 1)
    assert mode("--direct_running_mode", "multi_processing") == ("multi_processing", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert mode() == ("in_memory", 1)


def test_counters_are_the_sums_of_what_was_counted() -> None:
    pipeline = in_process()
    numbers = pipeline | beam.Create([1, 2, 3])
    for step in ("first", "second"):
        _ = numbers | step >> beam.Map(lambda number: launch.count({"numbers": 1, "total": number}))
    assert launch.run(pipeline) == {"numbers": 6, "total": 12}


def test_worker_processes_of_one_thread_have_one_arena_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, flags, expected in (
        (None, ["--direct_running_mode=multi_processing", "--direct_num_workers=0"], "1"),
        ("4", ["--direct_running_mode=multi_processing", "--direct_num_workers=0"], "4"),
    ):
        monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
        if given:
            monkeypatch.setenv("MALLOC_ARENA_MAX", given)
        launch.parse(parser(), flags)
        assert os.environ.get("MALLOC_ARENA_MAX") == expected


def refuse(_: object) -> None:
    raise InputError("users.parquet: column 'seen' is wrong; mend it")


def divide(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading"])
def test_an_input_error_of_a_worker_arrives_as_its_one_line(mode: str) -> None:
    pipeline = in_process(f"--direct_running_mode={mode}", "--direct_num_workers=2")
    _ = pipeline | beam.Create([1]) | "Refuse" >> beam.Map(refuse)
    with pytest.raises(InputError) as caught:
        launch.run(pipeline)
    assert str(caught.value) == "users.parquet: column 'seen' is wrong; mend it"


def test_the_traceback_of_an_input_error_is_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = in_process()
    _ = pipeline | beam.Create([1]) | "Refuse" >> beam.Map(refuse)
    with pytest.raises(InputError):
        launch.run(pipeline)
    # Beam may report an error of its own, as it now and then releases a failed bundle twice.
    assert "InputError" not in caplog.text


def test_any_other_error_of_a_worker_is_a_failed_run_and_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = in_process()
    _ = pipeline | beam.Create([0]) | "Divide" >> beam.Map(divide)
    with caplog.at_level(logging.WARNING), pytest.raises(RunError, match="division by zero") as caught:
        launch.run(pipeline)
    assert "\n" not in str(caught.value)
    assert "ZeroDivisionError" in caplog.text


def test_a_pipeline_that_does_not_end_well_is_a_failed_run() -> None:
    class Result:
        def wait_until_finish(self) -> str:
            return "CANCELLED"

    class Pipeline:
        options = PipelineOptions([])

        def run(self) -> Result:
            return Result()

    with pytest.raises(RunError, match="CANCELLED"):
        launch.run(Pipeline())


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "20260131", "2026-1-31", "", "2026-W05-6"])
def test_a_run_date_is_year_month_day(text: str) -> None:
    with pytest.raises(InputError, match=r"--run_date .*YYYY-MM-DD"):
        launch.parse_run_date(text)


def test_the_run_date_is_todays_in_utc_by_default() -> None:
    late_in_new_york = datetime(2026, 1, 30, 22, tzinfo=timezone(timedelta(hours=-5)))
    today = launch.today(lambda: late_in_new_york.astimezone(timezone.utc))
    assert today == "2026-01-31"
    assert launch.parse_run_date(None, lambda: today) == today
    assert launch.parse_run_date("2026-02-01", lambda: today) == "2026-02-01"
