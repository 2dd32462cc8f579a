"""Which flags of the whole flow each stage gets."""

from __future__ import annotations

import argparse

import pytest

from beam_jobs.local.stages import GIVEN, Stage, route
from model.cli import InputError


def parser(*flags: str, switch: str = "--switch") -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(add_help=False)
    for flag in flags:
        made.add_argument(flag)
    made.add_argument(switch, action="store_true")
    return made


PARSERS = {"first": parser("--data", "--seed"), "second": parser("--data", "--least", switch="--other")}


def test_a_flag_goes_to_every_stage_that_knows_it_with_its_values_and_else_to_the_last() -> None:
    argv = ["--data", "a", "--least", "-3", "--switch", "--seed=1", "--beam", "x", "y", "--data=b", "--least", "4"]
    assert route(argv, PARSERS, last="second") == {
        "first": ["--data", "a", "--switch", "--seed=1", "--data=b"],
        "second": ["--data", "a", "--least", "-3", "--beam", "x", "y", "--data=b", "--least", "4"],
    }


def test_no_flags_are_none_for_each_stage() -> None:
    assert route([], PARSERS, last="second") == {"first": [], "second": []}


@pytest.mark.parametrize("flag", GIVEN)
@pytest.mark.parametrize("value", [[], ["x"]])
def test_a_flag_that_the_flow_gives_itself_is_refused(flag: str, value: list[str]) -> None:
    with pytest.raises(InputError, match=f"^{flag} is not for the whole flow; "):
        route([flag, *value], PARSERS, last="second")


def test_a_word_without_a_flag_is_refused() -> None:
    with pytest.raises(InputError, match=r"^scores: not a flag"):
        route(["scores", "--data", "a"], PARSERS, last="second")


def test_the_flags_of_an_engine_come_last() -> None:
    stage = Stage("score", "beam_jobs.score", ("--top_n=3",))
    assert stage.on(["--runner=PortableRunner"]).flags == ("--top_n=3", "--runner=PortableRunner")
