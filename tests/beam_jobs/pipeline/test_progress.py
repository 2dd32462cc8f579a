"""Progress is one count a process, told now and then."""

import pytest

from beam_jobs.pipeline import progress
from beam_jobs.pipeline.progress import Progress


def test_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    now = [0.0]
    shown = Progress(1_000, interval=5.0, clock=lambda: now[0])
    for seconds in (1, 4, 2, 2, 3):
        now[0] += seconds
        shown.add(100, 30_000_000)
    assert [record.getMessage() for record in caplog.records] == [
        "this process has scored 200 of 1,000 users, 12.0 million pairs a second",
        "this process has scored 500 of 1,000 users, 12.5 million pairs a second",
    ]


def test_threads_of_a_run_share_one_count() -> None:
    one = progress.of_run("a", 5)
    assert progress.of_run("a", 5) is one
    assert progress.of_run("b", 5) is not one
