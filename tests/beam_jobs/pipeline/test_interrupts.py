"""A signal ends a running pipeline: one line, the exit status of the signal, staged files deleted, nobody left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).parents[3]

JOB = """
import shutil
from pathlib import Path
import apache_beam as beam
from beam_jobs.pipeline import execution
from beam_jobs.pipeline.options import parse_flags
from model.cli import FlagParser, run

def work(number, folder):
    import os, time
    from pathlib import Path
    from beam_jobs.pipeline.progress import report
    Path(folder, str(os.getpid())).touch()
    for _ in range(600):
        time.sleep(0.1)
        report("interrupted-run", "working", 1)

def main(argv):
    parser = FlagParser(prog="job")
    parser.add_argument("--staged", type=Path)
    args, options = parse_flags(parser, argv)
    args.staged.mkdir()
    try:
        pipeline = beam.Pipeline(options=options)
        _ = pipeline | beam.Create(range(2)) | beam.Reshuffle() | beam.Map(work, str(args.staged))
        execution.run(pipeline, run_id="interrupted-run")
    except BaseException:
        shutil.rmtree(args.staged)
        raise

run(main)
"""


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading", "multi_processing"])
@pytest.mark.parametrize(
    ("number", "status", "line"), [(signal.SIGINT, 130, "interrupted\n"), (signal.SIGTERM, 143, "terminated\n")]
)
def test_a_signal_ends_a_pipeline(mode: str, number: int, status: int, line: str, tmp_path: Path) -> None:
    script, staged = tmp_path / "job.py", tmp_path / "staged"
    script.write_text(JOB, encoding="utf-8")
    workers = 1 if mode == "in_memory" else 2
    beam_flags = [f"--direct_running_mode={mode}", f"--direct_num_workers={workers}"]
    process = subprocess.Popen(
        [sys.executable, str(script), "--staged", str(staged), *beam_flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TOP), "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    try:
        until = time.monotonic() + 120
        while not (staged.is_dir() and any(staged.iterdir())):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        ids = [int(path.name) for path in staged.iterdir()]
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # A terminal sends Ctrl-C to worker processes too.
        else:
            process.send_signal(number)
        sent = time.monotonic()
        out, error = process.communicate(timeout=60)
    finally:
        process.kill()
    assert time.monotonic() - sent < 20
    assert (process.returncode, out, error) == (status, "", line)
    assert not staged.exists()
    assert not list(tmp_path.glob("nightrank-*"))
    until = time.monotonic() + 20
    while any(is_alive(worker) for worker in ids):
        assert time.monotonic() < until
        time.sleep(0.05)
