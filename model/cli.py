"""What every command shares: how it takes flags, how it reports an error, and its exit status."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn


class InputError(Exception):
    """The input or a flag is wrong. The message is one line: what is wrong, where, and what would mend it. Exit 2."""


class RunError(Exception):
    """The input was accepted but the run failed. The message is one line. Exit 1."""


class FlagParser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one line, and which takes no abbreviations.

    An abbreviation that works today breaks the day a second flag shares its prefix.
    """

    def __init__(self, **settings: object) -> None:
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
            **settings,  # type: ignore[arg-type]
        )

    def error(self, message: str) -> NoReturn:
        """Raises: InputError, always, with argparse's message and where to read more."""
        raise InputError(f"{message}; see {self.prog} --help")


def run(main: Callable[[Sequence[str]], None]) -> NoReturn:
    """Call `main` with the command line and end the process: 0 done, 1 the run failed, 2 bad usage or input."""
    _quieten_libraries()
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(f"failed: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)


def _quieten_libraries() -> None:
    """Let our own lines through to the terminal, and of the libraries' only warnings."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    for name in ("__main__", "model", "beam_jobs"):
        logging.getLogger(name).setLevel(logging.INFO)
