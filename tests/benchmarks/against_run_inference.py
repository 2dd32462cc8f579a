"""Measure `beam_jobs.score` against RunInference with one pair an element, on one model in one run.

    ./run_local.sh bench pairs

Rates are slopes between two numbers of users, so that what is paid once (imports, loading the model) is in neither.
Ends with 1 where `beam_jobs.score` is less than `FLOOR` times as fast.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pyarrow import parquet

from beam_jobs import score
from model.quiet import import_tensorflow
from tests.benchmarks import inputs, one_pair_an_element

FLOOR = 25.0
TITLES = 1_664
SCORE_USERS = (10_000, 40_000)
PAIR_USERS = (240, 960)
REPEATS = 3


def main(argv: Sequence[str]) -> int:
    """Print both rates and their ratio; 0 where it is at least `FLOOR`."""
    parser = argparse.ArgumentParser(
        prog="./run_local.sh bench pairs", description="Pairs a second against RunInference."
    )
    parser.add_argument("--json", type=Path, help="file that gets the figures")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(Path(scratch))
    print(f"\n{'':44}{'million pairs a second':>24}")
    print(f"{'RunInference, one pair an element':44}{figures['run_inference']:24.3f}")
    print(f"{'beam_jobs.score':44}{figures['score']:24.3f}")
    print(f"{'ratio':44}{figures['ratio']:23.1f}x   (at least {FLOOR:g}x is asked)")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0 if figures["ratio"] >= FLOOR else 1


def measure(scratch: Path) -> dict[str, float]:
    """Million pairs a second of both, each the slope of the best of `REPEATS` runs taken in turn; their ratio."""
    parquet.write_table(inputs.make_candidates(TITLES), scratch / "candidates.parquet")
    inputs.in_new_process(inputs.make_model, scratch, max(SCORE_USERS), TITLES)
    sides = {"run_inference": (run_pairs, PAIR_USERS), "score": (run_score, SCORE_USERS)}
    best: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for name, (run, sizes) in sides.items():
            seconds = inputs.in_new_process(time_runs, run, scratch, sizes)
            for users, taken in zip(sizes, seconds, strict=True):
                print(f"{name}: {users:,} users in {taken:.1f} s", flush=True)
            best[name] = [min(pair) for pair in zip(best.get(name, seconds), seconds, strict=True)]
    rates = {
        name: (sizes[1] - sizes[0]) * TITLES / (best[name][1] - best[name][0]) / 1e6
        for name, (_, sizes) in sides.items()
    }
    return {**rates, "ratio": rates["score"] / rates["run_inference"]}


def time_runs(run: Callable[[Path, int], None], scratch: Path, sizes: tuple[int, int]) -> list[float]:
    """Seconds of a run for each number of users, after a short one that is not timed."""
    import_tensorflow()
    seconds = []
    for users in (sizes[0] // 10, *sizes):
        began = time.perf_counter()
        run(scratch, users)
        seconds.append(time.perf_counter() - began)
    return seconds[1:]


def run_score(scratch: Path, users: int) -> None:
    """The whole command: check, score, audit, publish."""
    path = scratch / f"users-{users}.parquet"
    parquet.write_table(inputs.make_users(users, TITLES), path, row_group_size=8_192)
    command = f"--model {scratch}/model --users {path} --candidates {scratch}/candidates.parquet --top_n {inputs.TOP_N}"
    with contextlib.redirect_stdout(io.StringIO()):
        score.main([*command.split(), "--output", str(scratch / "score"), "--run_date", "2024-01-01"])


def run_pairs(scratch: Path, users: int) -> None:
    """The pipeline of one pair an element."""
    table, titles = inputs.make_users(users, TITLES), inputs.titles(TITLES)
    one_pair_an_element.run(str(scratch / "model"), table, titles, inputs.TOP_N, str(scratch / "pairs"))
