#!/usr/bin/env bash
# Nightrank on Dataflow: the whole nightly run. ./run_dataflow.sh --help tells the flags.
set -euo pipefail

top=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
"$top/run_local.sh" --help >/dev/null # makes the environment, unless it is there
PYTHONPATH=$top${PYTHONPATH:+:$PYTHONPATH} exec "$top/.venv/bin/python" -m beam_jobs.nightly "$@"
