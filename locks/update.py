"""Write the lock files anew from setup.py, with hashes: `python locks/update.py`, with `uv` on the PATH.

Versions stay as they are wherever they still fit; `--upgrade` takes the newest. A part leaves out what the parts before
it have, and never has another version of it, so that each can be installed on top of local.txt:

    local.txt    what ./run_local.sh needs
    gcp.txt      what ./run_dataflow.sh needs besides
    dev.txt      what the tests, the benchmarks and the linters need besides
    uv.txt       the installer, for machines that have none

The workers' image has a lock of its own, beam_jobs/dataflow/requirements.txt: the same versions, without training.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

TOP = Path(__file__).parents[1]
LOCKS = TOP / "locks"
WORKER = TOP / "beam_jobs" / "dataflow" / "requirements.txt"
PARTS = {"local": ["train"], "gcp": ["gcp"], "dev": ["dev"]}
"""The extras of each part, from the first to be installed to the last."""
LEFT_OUT = ["libclang", "tensorboard-data-server"]
"""What TensorFlow requires and nowhere imports, and a speed-up of TensorBoard's pages."""


def compile_lock(
    output: Path, inputs: Sequence[str | Path], options: Sequence[str | Path], python: str = "3.10", asked: str = ""
) -> None:
    """Have uv write `output`; versions that it has already stay where they fit."""
    command = ["uv", "pip", "compile", *inputs, *options, "--output-file", output, "--python-version", python]
    command += [
        "--universal",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--no-emit-index-url",
        "--strip-extras",
        "--quiet",
    ]
    subprocess.run(command, cwd=TOP, input=asked, text=True, check=True, stdout=subprocess.DEVNULL)


def entries(lock: Path) -> list[str]:
    """Each package of a lock with its hashes."""
    return re.findall(r"^\S.*\n(?:[ ]+.*\n)*", lock.read_text(encoding="utf-8"), re.MULTILINE)


def write(lock: Path, lines: Iterable[str]) -> None:
    """Replace a lock."""
    lock.write_text("".join(lines), encoding="utf-8")


def main(argv: Sequence[str]) -> None:
    """Resolve everything together, then write each part, and the workers' lock, in these versions."""
    upgrade = [word for word in argv if word == "--upgrade"]
    extras = {part: [word for extra in names for word in ("--extra", extra)] for part, names in PARTS.items()}
    with tempfile.TemporaryDirectory() as folder:
        everything, overrides = Path(folder, "everything.txt"), Path(folder, "overrides.txt")
        write(overrides, (f"{name}; sys_platform == 'never'\n" for name in LEFT_OUT))
        inputs, options = ["setup.py"], ["--overrides", str(overrides)]
        present = [LOCKS / f"{part}.txt" for part in PARTS]
        write(everything, (entry for lock in present if lock.exists() for entry in entries(lock)))
        compile_lock(everything, inputs, [*options, *(word for words in extras.values() for word in words), *upgrade])
        written: set[str] = set()
        for part, words in extras.items():
            lock = Path(folder, f"{part}.txt")
            compile_lock(lock, inputs, [*options, *words, "--constraints", everything])
            write(LOCKS / lock.name, (entry for entry in entries(lock) if entry not in written))
            written.update(entries(lock))
        # Beam has no image for Python 3.10.
        compile_lock(WORKER, ["setup.py"], [*extras["gcp"], "--constraints", everything, *upgrade], python="3.11")
    compile_lock(LOCKS / "uv.txt", ["-"], upgrade, asked="uv")


if __name__ == "__main__":
    main(sys.argv[1:])
