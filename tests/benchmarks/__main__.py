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
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from beam_jobs import score
from beam_jobs.schema import USERS
from model.export import export, model_version
from model.recommender import RankerWeights, Recommender
from tests.benchmarks import one_pair_an_element

FLOOR = 25.0
TITLES, SEEN_A_USER, TOP_N = 1_664, 100, 20
SCORE_USERS = (10_000, 40_000)
PAIR_USERS = (60, 240)
REPEATS = 2


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
    """Million pairs a second of both, each the better of `REPEATS` slopes taken in turn, and their ratio."""
    titles = [f"Title {number} (1990)" for number in range(TITLES)]
    model = _make_model(scratch / "model", titles)
    parquet.write_table(pa.table({"movie_title": titles}), scratch / "candidates.parquet")

    def by_score(users: int) -> None:
        path = scratch / f"users-{users}.parquet"
        parquet.write_table(_make_users(users, titles), path, row_group_size=8_192)
        command = f"--model {model} --users {path} --candidates {scratch}/candidates.parquet --top_n {TOP_N}"
        with contextlib.redirect_stdout(io.StringIO()):
            score.main([*command.split(), "--output", str(scratch / "score"), "--run_date", "2024-01-01"])

    def by_pairs(users: int) -> None:
        table = _make_users(users, titles)
        one_pair_an_element.run(str(model), table, titles, TOP_N, str(scratch / "pairs"))

    rates: dict[str, list[float]] = {"run_inference": [], "score": []}
    for _ in range(REPEATS):
        rates["run_inference"].append(_slope(by_pairs, PAIR_USERS, "RunInference"))
        rates["score"].append(_slope(by_score, SCORE_USERS, "beam_jobs.score"))
    best = {name: max(values) for name, values in rates.items()}
    return {**best, "ratio": best["score"] / best["run_inference"]}


def _slope(run: Callable[[int], None], sizes: tuple[int, int], name: str) -> float:
    """Million pairs a second between two numbers of users."""
    seconds = []
    for users in sizes:
        began = time.perf_counter()
        run(users)
        seconds.append(time.perf_counter() - began)
        print(f"{name}: {users:,} users in {seconds[-1]:.1f} s", flush=True)
    return (sizes[1] - sizes[0]) * TITLES / (seconds[1] - seconds[0]) / 1e6


def _make_model(folder: Path, titles: list[str]) -> Path:
    """The article's basic model with random weights: what it predicts is beside the point here."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = RankerWeights(
        user_ids=[f"user {number}" for number in range(max(SCORE_USERS))],
        movie_titles=titles,
        user_embedding=draw(max(SCORE_USERS) + 1, 32),
        title_embedding=draw(TITLES + 1, 32),
        kernels=[draw(64, 256), draw(256, 64), draw(64, 1)],
        biases=[draw(256), draw(64), draw(1)],
        known=np.arange(max(SCORE_USERS) + 1) > 0,
    )
    folder.mkdir()
    version = model_version("basic", weights)
    export(Recommender(weights), {"model_kind": "basic", "score_kind": "rating", "model_version": version}, folder)
    return folder


def _make_users(count: int, titles: list[str]) -> pa.Table:
    rng = np.random.default_rng(1)
    seen = rng.integers(0, len(titles), (count, SEEN_A_USER)).ravel()
    splits = pa.array(np.arange(count + 1, dtype=np.int32) * SEEN_A_USER)
    lists = pa.ListArray.from_arrays(splits, pa.array(titles).take(pa.array(seen)))
    return pa.table([pa.array([f"user {number}" for number in range(count)]), lists], schema=USERS)


if __name__ == "__main__":
    sys.exit(main())
