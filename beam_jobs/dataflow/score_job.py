"""The program that the launcher of the Flex template runs: `beam_jobs.score` of the installed package.

The launcher runs a file, and score.py cannot be that file: its folder would come before all packages on the path, and
its functions would be pickled as those of `__main__`.
"""

from beam_jobs.score import main
from model.cli import run

if __name__ == "__main__":
    run(main)
