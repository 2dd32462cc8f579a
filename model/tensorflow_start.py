"""TensorFlow's start, without the lines that it prints about itself and the search for garbage."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def import_tensorflow() -> ModuleType:
    """Import TensorFlow and have it look for devices, both of which print to standard error.

    The lines come from C++ before any log level is heeded, so the file descriptor itself is turned away meanwhile;
    where the import fails, what was printed is shown after all.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    # Warnings and worse are let through later on.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    stderr = os.dup(2)
    with garbage_left(), tempfile.TemporaryFile() as printed:
        os.dup2(printed.fileno(), 2)
        try:
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices()
        except BaseException:
            printed.seek(0)
            os.write(stderr, printed.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    return tensorflow


@contextmanager
def garbage_left() -> Iterator[None]:
    """Do not look for garbage among what is made meanwhile, where it all stays: that is a fifth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
