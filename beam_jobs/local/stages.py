"""The stages of the flow, and which of the user's flags each of them gets."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from model.cli import InputError

GIVEN = {
    "--model_dir": "name --work_dir, which gets model/",
    "--output": "name --work_dir, which gets recommendations/",
    "--users": "the flow makes users from --dataset",
    "--candidates": "the flow makes candidates from --dataset",
    "--refit": "the flow always refits",
    "--with_vectors": "give --user_vectors apart, which implies it",
    "--no_wait": "each stage reads what the one before it wrote",
}
"""Flags of the stages that the flow gives itself, with what to do instead."""


@dataclass(frozen=True)
class Stage:
    """One process of the flow."""

    heading: str
    command: str
    """Of `nightrank`."""
    flags: tuple[str, ...]
    is_pipeline: bool = False
    """Whether it runs on Beam, and so on an engine where there is one."""

    def on(self, engine: Sequence[str]) -> Stage:
        """The same, with the flags of an engine."""
        return replace(self, flags=(*self.flags, *engine))


def route(argv: Sequence[str], parsers: Mapping[str, argparse.ArgumentParser], last: str) -> dict[str, list[str]]:
    """The words of `argv`, in order, for each of several commands.

    A flag goes, with the values behind it, to every command that knows it; one that none knows goes to `last`, which
    passes it on.

    Raises:
      InputError: a flag that the flow gives itself.
    """
    routed: dict[str, list[str]] = {name: [] for name in parsers}
    for words in _flags(argv):
        flag = words[0].partition("=")[0]
        if flag in GIVEN:
            raise InputError(f"{flag} is not for the whole flow; {GIVEN[flag]}")
        knowing = [name for name, parser in parsers.items() if flag in parser._option_string_actions]
        for name in knowing or [last]:
            routed[name] += words
    return routed


def _flags(argv: Sequence[str]) -> Iterator[list[str]]:
    """Each flag with the values behind it. Raises InputError for a value that no flag stands before."""
    words: list[str] = []
    for word in argv:
        if word.startswith("--"):
            if words:
                yield words
            words = [word]
        elif words:
            words.append(word)
        else:
            raise InputError(f"{word}: not a flag; see ./run_local.sh --help")
    if words:
        yield words
