"""How a job shares out a machine's cores."""

from __future__ import annotations

import os

import pytest
from apache_beam.options.pipeline_options import DirectOptions

from beam_jobs.pipeline.options import parse_flags
from beam_jobs.pipeline.parallelism import threads_a_process
from model.cli import FlagParser


def parser() -> FlagParser:
    return FlagParser(prog="job")


def test_processes_times_threads_is_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def threads(*flags: str) -> int:
        return threads_a_process(parse_flags(parser(), flags)[1])

    assert threads() == 8
    assert threads("--direct_num_workers=4") == 8
    assert threads("--direct_running_mode=multi_processing", "--direct_num_workers=4") == 2
    assert threads("--direct_running_mode=multi_processing", "--direct_num_workers=0") == 1
    assert threads("--direct_running_mode=multi_processing") == 8
    assert threads("--runner=PortableRunner", "--job_endpoint=localhost:1") == 1


def test_a_local_run_takes_all_cores_unless_flags_say_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)

    def mode(*flags: str) -> tuple[str, int]:
        direct = parse_flags(parser(), flags)[1].view_as(DirectOptions)
        return direct.direct_running_mode, direct.direct_num_workers

    assert mode() == ("multi_threading", 9)
    assert mode("--direct_num_workers=1") == ("in_memory", 1)
    assert mode("--direct_running_mode", "multi_processing") == ("multi_processing", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert mode() == ("in_memory", 1)


def test_worker_processes_of_one_thread_have_one_arena_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, flags, expected in (
        (None, ["--direct_running_mode=multi_processing", "--direct_num_workers=0"], "1"),
        ("4", ["--direct_running_mode=multi_processing", "--direct_num_workers=0"], "4"),
    ):
        monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
        if given:
            monkeypatch.setenv("MALLOC_ARENA_MAX", given)
        parse_flags(parser(), flags)
        assert os.environ.get("MALLOC_ARENA_MAX") == expected
