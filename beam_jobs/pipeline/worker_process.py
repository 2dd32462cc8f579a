"""Start a worker process of the in-process runner, for `--direct_running_mode=multi_processing`.

    python beam_jobs/pipeline/worker_process.py [--file_of_run FILE] [--tracebacks]

Beam's own worker prints a traceback for every error and for Ctrl-C, which a terminal sends to it too, and outlives a
launcher that was killed. This one leaves errors and Ctrl-C to the launcher, and ends with it.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

POLL_SECONDS = 0.2


def main(argv: Sequence[str]) -> None:
    """Work until the launcher hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser(prog="worker_process.py", description="Become a Beam worker.")
    parser.add_argument("--file_of_run", type=Path, help="end when this file is gone")
    parser.add_argument("--tracebacks", action="store_true", help="print the traceback of every error")
    args = parser.parse_args(argv)
    threading.Thread(target=_end_with_launcher, args=(os.getppid(), args.file_of_run), daemon=True).start()
    # Python puts the folder of a script first, where modules have the names of others: ours begin two folders above.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from apache_beam.runners.worker import sdk_worker_main

    from beam_jobs.pipeline import worker_tracebacks

    if not args.tracebacks:
        worker_tracebacks.stop_printing()
        # It warns that there is no folder of files for this worker, which needs none.
        logging.getLogger(sdk_worker_main.__name__).setLevel(logging.ERROR)
        # The launcher hangs up on threads that still listen.
        threading.excepthook = lambda _: None
    try:
        sdk_worker_main.main([])
    except Exception:
        if args.tracebacks:
            raise
        os._exit(1)
    # All work is done and told. Threads of C++ libraries that still wait would abort an ordinary end of the process.
    os._exit(0)


def _end_with_launcher(launcher: int, file_of_run: Path | None) -> None:
    while os.getppid() == launcher and (file_of_run is None or file_of_run.exists()):
        time.sleep(POLL_SECONDS)
    # Not an error: the launcher knows why it ended. A worker's threads cannot be stopped in another way.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
