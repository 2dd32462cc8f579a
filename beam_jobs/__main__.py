"""The `nightrank` command: every stage under one name.

Each command is a module with a `main`. It is imported only when it is asked for, as TensorFlow and Beam take seconds.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from model.cli import InputError, run


class Command(NamedTuple):
    """What a word after `nightrank` runs."""

    module: str
    summary: str


COMMANDS: Mapping[str, Command] = {
    "train": Command("model.train", "train a model, measure it and export it"),
    "evaluate": Command("model.evaluate", "measure an exported model beside baselines"),
    "tune": Command("model.tune", "search for better settings of a kind of model"),
    "prepare": Command("beam_jobs.prepare", "turn interactions into the tables of users and candidates"),
    "score": Command("beam_jobs.score", "recommend to every user, audit the rows and publish them"),
    "audit": Command("beam_jobs.audit", "check published recommendations against the rules"),
    "publish": Command("beam_jobs.publish", "publish a run that was staged"),
    "local": Command("beam_jobs.local.__main__", "run the whole flow on this machine"),
    "dataflow": Command("beam_jobs.nightly", "run the whole night on Google Cloud Dataflow"),
    "summary": Command("beam_jobs.summary", "show what a run on this machine produced"),
    "engines": Command("beam_jobs.engines.__main__", "start Flink or Prism on this machine"),
}
OURS = ("model", "beam_jobs")


def usage() -> str:
    """The help of `nightrank` itself."""
    width = max(map(len, COMMANDS))
    lines = (f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items())
    return "\n".join(
        [
            "usage: nightrank COMMAND [flags]",
            "",
            "Nightly recommendations: train a model, then score every user x candidate.",
            "",
            *lines,
            "",
            "nightrank COMMAND --help shows the flags of a command and an example.",
        ]
    )


def find(name: str) -> Command:
    """The command of that name. Raises InputError, with the closest name, where there is none."""
    if name in COMMANDS:
        return COMMANDS[name]
    close = difflib.get_close_matches(name, COMMANDS, 1)
    remedy = f"did you mean {close[0]}?" if close else "see nightrank --help"
    raise InputError(f"{name}: no command of nightrank; {remedy}")


def start(argv: Sequence[str]) -> None:
    """Run one command.

    Raises:
      InputError: there is no such command, its flags are wrong, or a package that it needs is not installed.
    """
    if not argv:
        raise InputError("no command; see nightrank --help")
    name, *flags = argv
    if name in ("-h", "--help"):
        print(usage())
        return
    command = find(name)
    try:
        importlib.import_module(command.module).main(flags)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in OURS:
            raise
        raise InputError(
            f"nightrank {name} needs the Python package {missing}, which is not installed; "
            "install nightrank with its extra `train`, or `gcp` for Google Cloud"
        ) from error


def main() -> NoReturn:
    """Run what the command line asks for, and end the process with its exit status."""
    # Beam starts worker processes with `python -m`, which would look for modules in the working directory first.
    os.environ.setdefault("PYTHONSAFEPATH", "1")
    # Messages of the Python library that name the program name ours.
    sys.argv[0] = "nightrank"
    run(start)


if __name__ == "__main__":
    main()
