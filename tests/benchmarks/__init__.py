"""Benchmarks: speed, as ratios within one run. `./run_local.sh bench` runs `python -m tests.benchmarks`."""
