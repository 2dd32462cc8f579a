#!/usr/bin/env bash
# Nightrank on Dataflow: the whole nightly run. ./run_dataflow.sh --help tells the flags.
set -euo pipefail

top=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
"$top/run_local.sh" set_up gcp
# Neither the caller's folder nor the caller's PYTHONPATH gives any module.
PYTHONSAFEPATH=1 PYTHONPATH=$top exec "$top/.venv/bin/python" -m beam_jobs dataflow "$@"
