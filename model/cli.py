"""What every command shares: flags, help, errors and exit status."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

LOG_LEVELS = ("debug", "info", "warning", "error")
INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


class InputError(Exception):
    """The input or a flag is wrong. The message is one line: what is wrong, where, and what would mend it. Exit 2."""


class RunError(Exception):
    """The input was accepted but the run failed. The message is one line. Exit 1."""


@contextmanager
def about(flag: str) -> Iterator[None]:
    """Put `flag` before the message of an `InputError`, so that library code need not know which flag it serves."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{flag} {error}") from error.__cause__


class FlagParser(argparse.ArgumentParser):
    """An `ArgumentParser` with one-line errors, no abbreviations, and an example at the end of its help.

    An abbreviation that works today breaks the day a second flag shares its prefix.

    Args:
      prog: the command, as a user types it.
      description: what it does, in one sentence.
      example: a command line to copy.
      passes_on: who gets the flags that this command does not know, such as "Beam"; None where they are errors.
    """

    def __init__(self, prog: str, description: str = "", example: str = "", passes_on: str | None = None) -> None:
        notes = [f"example:\n  {example}"] if example else []
        if passes_on:
            notes.append(f"Any other flag goes to {passes_on}.")
        super().__init__(
            prog=prog,
            description=description,
            epilog="\n\n".join(notes),
            allow_abbrev=False,
            formatter_class=_HelpFormatter,
        )
        self.add_argument(
            "--log_level", choices=LOG_LEVELS, default="info", help="how much to log; debug adds tracebacks"
        )

    def error(self, message: str) -> NoReturn:
        """Raises: InputError, always, with argparse's message and where to read more."""
        raise InputError(f"{message}; see {self.prog} --help")


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Shows a default where there is one, and keeps the line breaks of examples."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.help is None or "%(default)" in action.help or action.required:
            return action.help
        if action.default in (None, "", False, argparse.SUPPRESS) or action.default == [] or action.nargs == 0:
            return action.help
        return f"{action.help} (default: %(default)s)"


def run(main: Callable[[Sequence[str]], None]) -> NoReturn:
    """Call `main` with the command line and end the process.

    The exit status is 0 when done, 1 when the run failed, 2 for bad usage or input, 130 after Ctrl-C.
    """
    _configure_logging(sys.argv[1:])
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr, flush=True)
        sys.stdout.flush()
        # Threads of a pipeline would go on, and say so at length.
        os._exit(INTERRUPTED)
    sys.exit(0)


def _configure_logging(argv: Sequence[str]) -> None:
    """Show our own lines and only the warnings of libraries, unless `--log_level` says otherwise."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--log_level", default="info")
    try:
        level = parser.parse_known_args(list(argv))[0].log_level.upper()
    except argparse.ArgumentError:
        level = "INFO"  # the command's own parser will say what is wrong
    level = level if level.lower() in LOG_LEVELS else "INFO"
    debug = level == "DEBUG"
    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(asctime)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
        # A library that logged something while it was imported has made a handler of its own.
        force=True,
    )
    for name in ("__main__", "model", "beam_jobs"):
        logging.getLogger(name).setLevel(level)
