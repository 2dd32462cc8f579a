"""Measure `beam_jobs.score` against RunInference with one pair an element, on one model in one run.

    python -m tests.benchmarks

Rates are slopes between two numbers of users, so that what is paid once (imports, loading the model) is in neither.
Ends with 1 where `beam_jobs.score` is less than `FLOOR` times as fast.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from beam_jobs import score
from beam_jobs.schema import USERS
from model.quiet import import_tensorflow
from tests.benchmarks import one_pair_an_element

FLOOR = 25.0
TITLES, SEEN_A_USER, TOP_N = 1_664, 100, 20
SCORE_USERS = (10_000, 40_000)
PAIR_USERS = (240, 960)
REPEATS = 3


def main() -> int:
    """Print both rates and their ratio; 0 where it is at least `FLOOR`."""
    parser = argparse.ArgumentParser(prog="./run_local.sh bench", description="Pairs a second against RunInference.")
    parser.add_argument("--json", type=Path, help="file that gets the figures")
    args = parser.parse_args()
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
    parquet.write_table(pa.table({"movie_title": _titles()}), scratch / "candidates.parquet")
    in_new_process(make_model, scratch)
    sides = {"run_inference": (run_pairs, PAIR_USERS), "score": (run_score, SCORE_USERS)}
    best: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        for name, (run, sizes) in sides.items():
            seconds = in_new_process(time_runs, run, scratch, sizes)
            for users, taken in zip(sizes, seconds, strict=True):
                print(f"{name}: {users:,} users in {taken:.1f} s", flush=True)
            best[name] = [min(pair) for pair in zip(best.get(name, seconds), seconds, strict=True)]
    rates = {
        name: (sizes[1] - sizes[0]) * TITLES / (best[name][1] - best[name][0]) / 1e6
        for name, (_, sizes) in sides.items()
    }
    return {**rates, "ratio": rates["score"] / rates["run_inference"]}


def in_new_process(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a process of its own, so that neither side finds TensorFlow set up in the other's way."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


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
    parquet.write_table(_make_users(users), path, row_group_size=8_192)
    command = f"--model {scratch}/model --users {path} --candidates {scratch}/candidates.parquet --top_n {TOP_N}"
    with contextlib.redirect_stdout(io.StringIO()):
        score.main([*command.split(), "--output", str(scratch / "score"), "--run_date", "2024-01-01"])


def run_pairs(scratch: Path, users: int) -> None:
    """The pipeline of one pair an element."""
    one_pair_an_element.run(str(scratch / "model"), _make_users(users), _titles(), TOP_N, str(scratch / "pairs"))


def _titles() -> list[str]:
    return [f"Title {number} (1990)" for number in range(TITLES)]


def make_model(scratch: Path) -> None:
    """The article's basic model with random weights: what it predicts is beside the point here."""
    import_tensorflow()
    from model.export import export, model_version
    from model.recommender import RankerWeights, Recommender

    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = RankerWeights(
        user_ids=[f"user {number}" for number in range(max(SCORE_USERS))],
        movie_titles=_titles(),
        user_embedding=draw(max(SCORE_USERS) + 1, 32),
        title_embedding=draw(TITLES + 1, 32),
        kernels=[draw(64, 256), draw(256, 64), draw(64, 1)],
        biases=[draw(256), draw(64), draw(1)],
        known=np.arange(max(SCORE_USERS) + 1) > 0,
    )
    folder = scratch / "model"
    folder.mkdir()
    version = model_version("basic", weights)
    export(Recommender(weights), {"model_kind": "basic", "score_kind": "rating", "model_version": version}, folder)


def _make_users(count: int) -> pa.Table:
    rng = np.random.default_rng(1)
    seen = rng.integers(0, TITLES, (count, SEEN_A_USER)).ravel()
    splits = pa.array(np.arange(count + 1, dtype=np.int32) * SEEN_A_USER)
    lists = pa.ListArray.from_arrays(splits, pa.array(_titles()).take(pa.array(seen)))
    return pa.table([pa.array([f"user {number}" for number in range(count)]), lists], schema=USERS)
