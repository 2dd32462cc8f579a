"""Run the benchmarks: `./run_local.sh bench [NAME ..]`."""

import sys

from model.cli import InputError
from tests.benchmarks.suite import main

if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
