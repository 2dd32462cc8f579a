"""What every command shares: flags, help, errors and exit status."""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import math
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TextIO

LOG_LEVELS = ("debug", "info", "warning", "error")
INTERRUPTED = 130
"""The exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""
OUTPUT_CLOSED = 128 + 13
"""The exit status where nobody reads the output: 128 and the number of SIGPIPE, as shells have it."""
PATIENCE_SECONDS = 3.0
"""After one signal to end, before another is heeded."""


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


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread when the process is told to end, by Ctrl-C or by SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        """Of the signal."""


def run(main: Callable[[Sequence[str]], None]) -> NoReturn:
    """Call `main` with the command line and end the process.

    The exit status is 0 when done, 1 when the run failed, 2 for bad usage or input, 130 after Ctrl-C, 143 after
    SIGTERM, and 141 where nobody reads the output any more, such as `head` when it has its lines.
    """
    for stream in (sys.stdout, sys.stderr):
        # A title may have letters that the terminal's encoding lacks.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _configure_logging(sys.argv[1:])
    try:
        _handle_signals()
        main(sys.argv[1:])
        sys.stdout.flush()
    except InputError as error:
        _end(f"error: {error}", 2)
    except RunError as error:
        _end(f"failed: {error}", 1)
    except BrokenPipeError:
        if not _is_closed(sys.stdout):
            raise
        os._exit(OUTPUT_CLOSED)
    except KeyboardInterrupt as interrupt:
        number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
        with contextlib.suppress(OSError):
            print("terminated" if number == signal.SIGTERM else "interrupted", file=sys.stderr, flush=True)
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        # Threads of a pipeline would go on, and say so at length.
        os._exit(128 + number)
    sys.exit(0)


def _end(message: str, status: int) -> NoReturn:
    print(message, file=sys.stderr)
    if _is_closed(sys.stdout):
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _is_closed(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more; what it still holds goes out."""
    try:
        stream.flush()
        poll = select.poll()
        poll.register(stream, 0)  # An error is told whatever is asked for.
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except BrokenPipeError:
        return True
    except (AttributeError, OSError, ValueError):  # no `poll` on this system, or no file behind the stream
        return False


def _handle_signals() -> None:
    """Let SIGINT and SIGTERM raise `Interrupted`, so that what a run has staged is deleted.

    A second signal within `PATIENCE_SECONDS` is passed over, because it would break off that very deletion.
    """
    last = -math.inf

    def interrupt(number: int, _: object) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last > PATIENCE_SECONDS:
            last = now
            raise Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        # A shell starts jobs in the background with SIGINT ignored, and that holds.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, interrupt)


class _LogHandler(logging.StreamHandler[TextIO]):
    """Writes to what is standard error now, which a live progress line replaces to keep itself below."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


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
