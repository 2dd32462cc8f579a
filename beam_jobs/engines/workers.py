"""Python workers of a portable engine: each is a process that the engine starts, in this environment and checkout."""

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
{python} -m beam_jobs.engines.boot "$@" >>{log} 2>&1 &
worker=$!
trap 'kill "$worker"; exit 0' TERM
wait "$worker"
status=$?
# Killed, by whomever; a worker that the engine hangs up on ends otherwise.
[ "$status" -le 128 ] || {if_killed}
exit "$status"
"""


def write_program(folder: Path, takes_parent_along: bool = False) -> list[str]:
    """Write the program `worker` that starts a worker into `folder`; what workers say goes to `workers.log` beside it.

    A process of the engine's own rather than one of a pool of workers that engines share: Beam's pool knows a worker by
    an id that is unique in one engine process alone, and stops another's worker in its place.

    Args:
      folder: an existing one.
      takes_parent_along: kill the engine process that has started a worker when that is killed, for one that would go
        on sending to the dead worker, and that is replaced as a whole.

    Returns:
      Beam flags by which a job's workers are started so.
    """
    program = folder / "worker"
    text = _PROGRAM.format(
        path=shlex.quote(os.pathsep.join(filter(None, [str(_TOP), os.environ.get("PYTHONPATH", "")]))),
        python=shlex.quote(sys.executable),
        log=shlex.quote(str(folder / "workers.log")),
        if_killed='kill -KILL "$PPID"' if takes_parent_along else "true",
    )
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return [
        "--environment_type=PROCESS",
        f"--environment_config={json.dumps({'command': str(program)})}",
        # Beam asks pip for a list of packages, which workers on this machine have no use for.
        "--experiments=disable_logging_submission_environment",
    ]
