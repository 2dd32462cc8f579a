"""Keep tracebacks of workers off the terminal, unless the log level is debug.

An error of a worker reaches the launcher as an exception, which becomes one line. Beam also prints its traceback to
standard error, and logs it, more than once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from apache_beam.runners.worker import log_handler, sdk_worker

_PRINTING = (sdk_worker, log_handler)
_MARKS = ("Traceback (most recent call last)", "\n\tat ")
"""Of a traceback in Python and in Java."""
_SOURCES = ("apache_beam", "root")
"""Loggers that Beam uses: it logs through the root logger what its worker processes have logged."""


def wanted() -> bool:
    """Whether the log level is debug."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def keep_off() -> Callable[[], None]:
    """Keep tracebacks off standard error and off the log of this process, and return what undoes that."""
    if wanted():
        return lambda: None
    handlers = logging.getLogger().handlers[:]
    for handler in handlers:
        handler.addFilter(_has_none)
    stop_printing()

    def undo() -> None:
        for handler in handlers:
            handler.removeFilter(_has_none)
        for module in _PRINTING:
            vars(module).pop("print", None)

    return undo


def stop_printing() -> None:
    """Let Beam's workers in this process print nothing.

    `SdkHarness._execute` prints the traceback of every failure to standard error, whatever the log level, and the log
    handler prints that the launcher has hung up; there is no option for either. A name in the module takes the place
    of the built-in function there and nowhere else.
    """
    for module in _PRINTING:
        module.print = lambda *_, **__: None


def _has_none(record: logging.LogRecord) -> bool:
    if record.name.partition(".")[0] not in _SOURCES:
        return True
    return not record.exc_info and not any(mark in record.getMessage() for mark in _MARKS)
