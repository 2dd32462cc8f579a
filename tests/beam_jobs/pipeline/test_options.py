"""A job's flags: its own, Beam's, and those that nobody knows."""

from __future__ import annotations

import pytest
from apache_beam.options.pipeline_options import DirectOptions, StandardOptions

from beam_jobs.pipeline.options import parse_flags
from beam_jobs.pipeline.parallelism import IN_PROCESS_RUNNER
from model.cli import FlagParser, InputError


def parser() -> FlagParser:
    made = FlagParser(prog="job")
    made.add_argument("--output", default="here")
    return made


def test_own_flags_are_taken_and_the_rest_is_beams() -> None:
    args, options = parse_flags(parser(), ["--output", "there", "--direct_num_workers=3"])
    assert args.output == "there"
    assert options.view_as(DirectOptions).direct_num_workers == 3


@pytest.mark.parametrize("flags", [[], ["--runner=DirectRunner"], ["--runner", "direct"], ["--runner=FnApiRunner"]])
def test_a_local_run_is_pinned_to_the_runner_that_downloads_nothing(flags: list[str]) -> None:
    _, options = parse_flags(parser(), flags)
    assert options.view_as(StandardOptions).runner == IN_PROCESS_RUNNER


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
        parse_flags(parser(), flags)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().err == ""
    assert not caplog.records


def test_a_portable_runner_may_take_options_that_beam_does_not_know() -> None:
    flags = ["--runner=PortableRunner", "--job_endpoint=localhost:1", "--state.backend=rocksdb"]
    _, options = parse_flags(parser(), flags)
    assert options.view_as(StandardOptions).runner == "PortableRunner"
