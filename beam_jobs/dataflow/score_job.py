"""What the launcher of the Flex template runs: `beam_jobs.score`, from the installed package and under its own name.

A file of its own because the launcher runs a file: score.py itself, run so, would have its folder before all packages
on the path and be pickled as `__main__`.
"""

from beam_jobs.score import main
from model.cli import run

if __name__ == "__main__":
    run(main)
