"""Run the benchmarks: `./run_local.sh bench`, or `python -m tests.benchmarks`."""

import sys

from tests.benchmarks.against_run_inference import main

sys.exit(main())
