"""A pipeline is run to its end, and an error of a worker arrives as one line."""

from __future__ import annotations

import logging

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import parse_flags
from model.cli import FlagParser, InputError, RunError


def in_process(*flags: str) -> beam.Pipeline:
    return beam.Pipeline(options=parse_flags(FlagParser(prog="job"), flags)[1])


def refuse(_: object) -> None:
    raise InputError("users.parquet: column 'seen' is wrong; mend it")


def divide(number: int) -> float:
    return 1 / number


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading"])
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


def test_any_other_error_of_a_worker_is_a_failed_run_and_stays_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    pipeline = in_process()
    _ = pipeline | beam.Create([0]) | "Divide" >> beam.Map(divide)
    with caplog.at_level(logging.WARNING), pytest.raises(RunError, match="division by zero") as caught:
        execution.run(pipeline)
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
        execution.run(Pipeline())
