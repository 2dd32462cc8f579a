"""The README and the commands say the same."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
README = (TOP / "README.md").read_text(encoding="utf-8")
COMMANDS = (
    "model.train",
    "model.evaluate",
    "model.tune",
    *(f"beam_jobs.{n}" for n in ("prepare", "score", "nightly", "audit", "publish", "summary")),
)


def flags_of(command: str) -> set[str]:
    parser = importlib.import_module(command).build_parser()
    return {flag for action in parser._actions for flag in action.option_strings if flag.startswith("--")} - {"--help"}


def section(command: str) -> str:
    """The part of the reference from where a command's name stands to where another's stands."""
    reference = README[README.index("### Flags") : README.index("### Tables")]
    start = reference.index(f"`python -m {command}`")
    later = [reference.find(f"`python -m {other}`", start + 1) for other in COMMANDS]
    ends = [place for place in later if place > start and "\n" in reference[start:place]]
    return reference[start : min(ends, default=len(reference))]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_flag_is_documented_with_its_command(command: str) -> None:
    flags = flags_of(command)
    assert flags
    missing = {flag for flag in flags if f"`{flag}`" not in section(command)}
    assert not missing


def test_every_documented_flag_exists() -> None:
    script = (TOP / "run_local.sh").read_text(encoding="utf-8")
    known = set.union(*map(flags_of, COMMANDS)) | set(re.findall(r"^  (--\w+)", script, re.MULTILINE))
    documented = set(re.findall(r"`(--\w+)", README[README.index("### Flags") : README.index("### Tables")]))
    assert documented
    assert documented <= known


def test_defaults_in_the_readme_are_those_of_the_parsers() -> None:
    train = {action.dest: action.default for action in importlib.import_module("model.train").build_parser()._actions}
    rows = dict(re.findall(r"^\| `--(\w+)` \| `?([^`|]+?)`? \|", section("model.train"), re.MULTILINE))
    checked = {name: rows[name] for name in ("dataset", "last_n", "seed", "model_dir", "model")}
    assert checked == {name: str(train[name]) for name in checked}


def test_the_picture_is_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    assert all((TOP / picture).read_bytes().startswith(b"\x89PNG") for picture in pictures)


def test_the_scheduled_request_gives_the_template_what_it_takes() -> None:
    body = re.search(r"--message-body '(.*?)'", README.replace("\n", ""))
    launch = json.loads(body[1])["launchParameter"]
    template = json.loads((TOP / "beam_jobs" / "dataflow" / "score_template.json").read_text(encoding="utf-8"))
    taken = {parameter["name"]: parameter for parameter in template["parameters"]}
    given = launch["parameters"]
    assert given.keys() <= taken.keys()
    assert {name for name, parameter in taken.items() if not parameter.get("isOptional")} <= given.keys()
    assert all(re.fullmatch(pattern, given[name]) for name in given for pattern in taken[name].get("regexes", []))
