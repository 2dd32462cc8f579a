"""Run the benchmarks: `./run_local.sh bench [pairs | scale]`; `pairs` where none is named."""

import sys

from tests.benchmarks import against_run_inference, scale

BENCHMARKS = {"pairs": against_run_inference.main, "scale": scale.main}

name, *rest = sys.argv[1:] or ["pairs"]
if name not in BENCHMARKS:
    name, rest = "pairs", sys.argv[1:]
sys.exit(BENCHMARKS[name](rest))
