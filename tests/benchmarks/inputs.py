"""What the benchmarks run on: a model of random weights, users with histories, and candidates."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from beam_jobs.schema import CANDIDATES, USERS
from model.quiet import import_tensorflow

SEEN_A_USER, TOP_N = 100, 20


def in_new_process(function: Callable[..., Any], *args: Any) -> Any:
    """Call in a process of its own, so that neither side finds TensorFlow set up in the other's way."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def titles(count: int) -> list[str]:
    """Distinct titles."""
    return [f"Title {number} (1990)" for number in range(count)]


def make_candidates(count: int) -> pa.Table:
    """`beam_jobs.schema.CANDIDATES`."""
    return pa.table([titles(count)], schema=CANDIDATES)


def make_users(count: int, title_count: int) -> pa.Table:
    """`beam_jobs.schema.USERS`, each with `SEEN_A_USER` titles seen, some of them repeatedly."""
    seen = np.random.default_rng(1).integers(0, title_count, count * SEEN_A_USER)
    splits = pa.array(np.arange(count + 1, dtype=np.int32) * SEEN_A_USER)
    lists = pa.ListArray.from_arrays(splits, pa.array(titles(title_count)).take(pa.array(seen)))
    return pa.table([pa.array([f"user {number}" for number in range(count)]), lists], schema=USERS)


def make_model(scratch: Path, user_count: int, title_count: int) -> None:
    """The article's basic model with random weights in `scratch/model`: what it predicts is beside the point here."""
    import_tensorflow()
    from model.dense_recommender import DenseRecommender, RankerWeights
    from model.export import export, model_version

    rng = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return (rng.normal(size=shape) / np.sqrt(shape[0])).astype(np.float32)

    weights = RankerWeights(
        user_ids=[f"user {number}" for number in range(user_count)],
        movie_titles=titles(title_count),
        user_embedding=draw(user_count + 1, 32),
        title_embedding=draw(title_count + 1, 32),
        kernels=[draw(64, 256), draw(256, 64), draw(64, 1)],
        biases=[draw(256), draw(64), draw(1)],
        known=np.arange(user_count + 1) > 0,
    )
    folder = scratch / "model"
    folder.mkdir()
    description = {
        "model_kind": "basic",
        "score_kind": "rating",
        "model_version": model_version("basic", weights),
        "blessed": {"blessed": True, "why": ["It is a benchmark's."]},
    }
    export(DenseRecommender(weights), description, folder)
