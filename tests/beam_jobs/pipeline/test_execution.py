"""A pipeline is run to its end, and an error of a worker arrives as one line."""

from __future__ import annotations

import logging
import os
import threading

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.worker import sdk_worker

from beam_jobs.pipeline import execution, worker_tracebacks
from beam_jobs.pipeline.options import parse_flags
from model.cli import FlagParser, InputError, RunError

MODES = ["in_memory", "multi_threading", "multi_processing"]


def in_process(*flags: str) -> beam.Pipeline:
    return beam.Pipeline(options=parse_flags(FlagParser(prog="job"), flags)[1])


def refuse(_: object) -> None:
    raise InputError("users.parquet: column 'seen' is wrong; mend it")


def divide(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("mode", MODES)
def test_an_input_error_of_a_worker_arrives_as_its_one_line(mode: str) -> None:
    pipeline = in_process(f"--direct_running_mode={mode}", "--direct_num_workers=2")
    _ = pipeline | beam.Create([1]) | "Refuse" >> beam.Map(refuse)
    with pytest.raises(InputError) as caught:
        execution.run(pipeline)
    assert str(caught.value) == "users.parquet: column 'seen' is wrong; mend it"


def test_the_traceback_of_an_input_error_is_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = in_process()
    _ = pipeline | beam.Create([1]) | "Refuse" >> beam.Map(refuse)
    with pytest.raises(InputError):
        execution.run(pipeline)
    # Beam may report an error of its own, as it now and then releases a failed bundle twice.
    assert "InputError" not in caplog.text


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
def test_any_other_error_of_a_worker_is_a_failed_run_with_a_traceback_at_debug_alone(
    mode: str, level: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline = in_process(f"--direct_running_mode={mode}", "--direct_num_workers=2")
    _ = pipeline | beam.Create([0]) | "Divide" >> beam.Map(divide)
    with caplog.at_level(level), pytest.raises(RunError, match="division by zero") as caught:
        execution.run(pipeline)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("; --log_level debug shows where")
    told = caplog.text + capfd.readouterr().err
    assert ("Traceback" in told) is (level == logging.DEBUG)
    assert ("ZeroDivisionError" in told) is (level == logging.DEBUG)


def end_the_process(_: object) -> None:
    os._exit(7)


def test_a_worker_process_that_dies_is_a_failed_run(capfd: pytest.CaptureFixture[str]) -> None:
    pipeline = in_process("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    _ = pipeline | beam.Create([0]) | "End" >> beam.Map(end_the_process)
    with pytest.raises(RunError, match=r"a worker process died \(.* 7\); .*--direct_num_workers"):
        execution.run(pipeline)
    assert capfd.readouterr().err == ""


def test_after_a_run_tracebacks_are_as_they_were() -> None:
    hook = threading.excepthook
    pipeline = in_process()
    _ = pipeline | beam.Create([0]) | "Divide" >> beam.Map(divide)
    with pytest.raises(RunError):
        execution.run(pipeline)
    filters = [each for handler in logging.getLogger().handlers for each in handler.filters]
    assert worker_tracebacks._has_none not in filters
    assert threading.excepthook is hook
    assert not hasattr(sdk_worker, "print")


def test_a_pipeline_that_does_not_end_well_is_a_failed_run() -> None:
    class Result:
        def wait_until_finish(self) -> str:
            return "CANCELLED"

    class Pipeline:
        options = PipelineOptions([])

        def run(self) -> Result:
            return Result()

    with pytest.raises(RunError, match="CANCELLED"):
        execution.run(Pipeline())
