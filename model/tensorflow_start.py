"""Start TensorFlow quietly, and without garbage collection."""

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
    """Import TensorFlow and let it look for devices, without what both print to standard error.

    C++ prints these lines before it looks at any log level, so this function redirects the file descriptor. If the
    import fails, it shows what was printed.
    """
    if "tensorflow" in sys.modules:
        return sys.modules["tensorflow"]
    # From now on, TensorFlow logs warnings and errors only.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    sys.stderr.flush()
    stderr = os.dup(2)
    with garbage_collection_paused(), tempfile.TemporaryFile() as printed:
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
def garbage_collection_paused() -> Iterator[None]:
    """Pause garbage collection while many lasting objects are made; it would take a fifth of the time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
