"""Counters of a run."""

from __future__ import annotations

import apache_beam as beam

from beam_jobs.pipeline import execution
from beam_jobs.pipeline.counters import as_table, count
from beam_jobs.pipeline.options import parse_flags
from model.cli import FlagParser


def in_process(*flags: str) -> beam.Pipeline:
    return beam.Pipeline(options=parse_flags(FlagParser(prog="job"), flags)[1])


def test_counters_are_the_sums_of_what_was_counted() -> None:
    pipeline = in_process()
    numbers = pipeline | beam.Create([1, 2, 3])
    for step in ("first", "second"):
        _ = numbers | step >> beam.Map(lambda number: count({"numbers": 1, "total": number}))
    assert execution.run(pipeline) == {"numbers": 6, "total": 12}


def test_counters_are_a_table_in_the_order_given() -> None:
    assert as_table({"users_read": 943, "rows": 1_234_567}).splitlines() == [
        "  users read              943",
        "  rows              1,234,567",
    ]
    assert as_table({}) == ""
