"""The program by which a portable engine starts Python workers, in this environment and from this checkout."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

_TOP = Path(__file__).parents[2]
_PROGRAM = """\
#!/bin/sh
# Starts one Python worker for a Beam engine.
PYTHONPATH={path}
export PYTHONPATH
trap 'kill "$!" 2>/dev/null; exit 0' TERM
{python} -m beam_jobs.engines.boot "$@" >>{log} 2>&1 &
wait "$!"
status=$?
# Above 128: a signal killed the worker. It ends with another status when the engine closes the connection.
[ "$status" -le 128 ] || {if_killed}
exit "$status"
"""


def write_program(folder: Path, ends_parent: bool = False) -> list[str]:
    """Write the program `worker`, which starts one worker, into `folder`. Workers log to `workers.log` beside it.

    Each engine process starts its own workers. Beam's pool of workers is no alternative where engine processes share
    it: their worker ids collide, and the pool then stops the wrong worker.

    Args:
      folder: an existing folder.
      ends_parent: when a worker is killed, also kill the engine process that started it. This is for an engine process
        that would keep sending to the dead worker, and that is replaced as a whole.

    Returns:
      The Beam flags of a job whose workers are started by the program.
    """
    program = folder / "worker"
    text = _PROGRAM.format(
        path=shlex.quote(os.pathsep.join(filter(None, [str(_TOP), os.environ.get("PYTHONPATH", "")]))),
        python=shlex.quote(sys.executable),
        log=shlex.quote(str(folder / "workers.log")),
        if_killed='kill -KILL "$PPID"' if ends_parent else "true",
    )
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return [
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': str(program)})}",
        # Beam would call pip for a list of packages. Workers on this machine need none.
        "--experiments=disable_logging_submission_environment",
    ]
