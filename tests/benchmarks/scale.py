"""What a night costs at sizes that fit no single machine: a model of cost fitted to runs here, and checked by one more.

    ./run_local.sh bench scale

Runs of `beam_jobs.score` on 1, 2 and 4 worker processes of one thread give the cost of a pair and of a user; a run of
another shape, which the fit has not seen, says how far off the model is. Then it predicts named Dataflow machines.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from pyarrow import parquet

from beam_jobs.run_report import RunReport
from tests.benchmarks import inputs

FITTED = ((2_000, 1_664, 1), (16_000, 1_664, 1), (4_000, 6_656, 1), (16_000, 1_664, 2), (16_000, 1_664, 4))
"""Users, titles and workers of the runs that the model is fitted to."""
HELD_OUT = (12_000, 4_000, 2)
TOLERANCE = 0.25
"""Of the prediction for `HELD_OUT`: machines shared with others vary by as much."""
PARTS = 64

VCPU_HOUR, GIB_HOUR, SHUFFLED_GIB = 0.056, 0.003557, 0.011
"""Dollars: Dataflow batch in us-central1, shuffle by the service. Look them up before you rely on a total."""
BYTES_A_ROW = 60
"""Of a recommendation in the audit's shuffle, as Arrow."""
START_SECONDS = 180
"""Dataflow takes two to four minutes from submission to the first bundle; workers are billed from their start."""
MACHINES = {"n2-standard-4": (4, 16), "n2-highcpu-8": (8, 8), "c3-standard-8": (8, 32), "t2d-standard-16": (16, 64)}
"""vCPUs and GiB of memory."""
SIZES = tuple(itertools.product((1_000_000, 10_000_000, 100_000_000), (10_000, 100_000)))


@dataclass(frozen=True)
class Run:
    """One run of `beam_jobs.score`: its shape, and the seconds that scoring took from the first block to the last."""

    users: int
    titles: int
    workers: int
    seconds: float
    audit_seconds: float

    @property
    def pairs(self) -> int:
        """Users x titles."""
        return self.users * self.titles


@dataclass(frozen=True)
class CostModel:
    """Scoring seconds of one core: `pairs * a_pair + users * a_user`, divided among cores that all work."""

    a_pair: float
    a_user: float
    audit_a_row: float

    @classmethod
    def fit(cls, runs: Sequence[Run], cores: int, top_n: int) -> CostModel:
        """Least squares of the relative error, so that short runs count as much as long ones."""
        shapes = np.array([[run.pairs, run.users] for run in runs]) / np.array(
            [[min(run.workers, cores)] for run in runs]
        )
        seconds = np.array([run.seconds for run in runs])
        a_pair, a_user = np.linalg.lstsq(shapes / seconds[:, None], np.ones(len(runs)), rcond=None)[0]
        rows = np.array([run.users * min(top_n, run.titles) for run in runs])
        audits = np.array([run.audit_seconds for run in runs])
        slope = np.polyfit(rows, audits, 1)[0]
        return cls(float(a_pair), max(0.0, float(a_user)), max(0.0, float(slope)))

    def core_seconds(self, users: int, titles: int) -> float:
        """Of scoring alone."""
        return users * titles * self.a_pair + users * self.a_user

    def predict(self, users: int, titles: int, cores: int) -> float:
        """Seconds of scoring on so many cores."""
        return self.core_seconds(users, titles) / cores


def main(argv: Sequence[str]) -> int:
    """Print the runs, the fit, its check and the predictions; 0 where the check is within `TOLERANCE`."""
    parser = argparse.ArgumentParser(prog="./run_local.sh bench scale", description="A model of a night's cost.")
    parser.add_argument("--json", type=Path, help="file that gets the figures")
    args = parser.parse_args(argv)
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        shapes = [*FITTED, HELD_OUT]
        inputs.in_new_process(inputs.make_model, Path(scratch), max(s[0] for s in shapes), max(s[1] for s in shapes))
        *fitted, held_out = [measure(Path(scratch), *shape) for shape in shapes]
    model = CostModel.fit(fitted, cores, inputs.TOP_N)
    predicted = model.predict(held_out.users, held_out.titles, min(held_out.workers, cores))
    error = predicted / held_out.seconds - 1
    print(render(fitted, model, held_out, predicted))
    if args.json:
        figures = {"runs": [asdict(run) for run in (*fitted, held_out)], "model": asdict(model), "error": error}
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if abs(error) <= TOLERANCE else 1


def measure(scratch: Path, users: int, titles: int, workers: int) -> Run:
    """Run the command, in a process of its own, on so many cores as workers where the machine has them."""
    table, candidates = scratch / f"users-{users}-{titles}.parquet", scratch / f"candidates-{titles}.parquet"
    parquet.write_table(inputs.make_users(users, titles), table, row_group_size=-(-users // PARTS))
    parquet.write_table(inputs.make_candidates(titles), candidates)
    cores = sorted(os.sched_getaffinity(0))[:workers]
    flags = f"--model {scratch}/model --users {table} --candidates {candidates} --output {scratch}/out"
    spread = f"--direct_running_mode=multi_processing --direct_num_workers={workers}"
    command = [sys.executable, "-m", "beam_jobs.score", *flags.split(), *spread.split(), "--run_date", "2024-01-01"]
    began = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    took = time.monotonic() - began
    report = RunReport.read(str(scratch / "out" / "recommendations" / "run_date=2024-01-01"), "--output")
    print(f"{users:,} users x {titles:,} titles, {workers} workers: {took:.1f} s in all", flush=True)
    return Run(users, titles, workers, report.seconds["score"], report.seconds["audit"])


def render(fitted: Sequence[Run], model: CostModel, held_out: Run, predicted: float) -> str:
    """Everything as tables of Markdown."""
    lines = ["", "| users | titles | workers | scoring, s | M pairs/s |", "|---|---|---|---|---|"]
    lines += [
        f"| {run.users:,} | {run.titles:,} | {run.workers} | {run.seconds:.1f} | {run.pairs / run.seconds / 1e6:.2f} |"
        for run in fitted
    ]
    lines += [
        "",
        f"A core takes {1e9 * model.a_pair:.0f} ns a pair, {1e6 * model.a_user:.0f} us a user, and the audit "
        f"{1e6 * model.audit_a_row:.1f} us a row.",
        f"Held out: {held_out.users:,} users x {held_out.titles:,} titles on {held_out.workers} workers, predicted "
        f"{predicted:.1f} s, measured {held_out.seconds:.1f} s ({100 * (predicted / held_out.seconds - 1):+.0f}%).",
        "",
        "| users | titles | machine | vCPU-hours | dollars | machines for an hour |",
        "|---|---|---|---|---|---|",
    ]
    for (users, titles), (name, (vcpus, memory)) in itertools.product(SIZES, MACHINES.items()):
        hours, dollars, machines = predict_night(model, users, titles, vcpus, memory)
        lines.append(f"| {users:,} | {titles:,} | {name} | {hours:,.0f} | {dollars:,.2f} | {machines:,} |")
    return "\n".join(lines)


def predict_night(model: CostModel, users: int, titles: int, vcpus: int, memory: int) -> tuple[float, float, int]:
    """vCPU-hours, dollars, and machines of a kind that end within an hour, their start counted."""
    rows = users * inputs.TOP_N
    seconds = model.core_seconds(users, titles) + rows * model.audit_a_row
    machines = max(1, int(np.ceil(seconds / vcpus / (3_600 - START_SECONDS))))
    hours = (seconds + machines * vcpus * START_SECONDS) / 3_600
    shuffled = rows * BYTES_A_ROW / (1 << 30)
    return hours, hours * (VCPU_HOUR + GIB_HOUR * memory / vcpus) + shuffled * SHUFFLED_GIB, machines
