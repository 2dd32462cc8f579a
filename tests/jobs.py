"""A small model and small tables for tests of the jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from beam_jobs.io.schemas import CANDIDATES, USERS
from model import train
from model.artifact.export import export, model_version
from model.artifact.user_vectors import write_user_vectors
from model.data.sources import read_interactions
from model.retrieval.dense_recommender import DenseRecommender, DenseWeights
from tests import oracle

USER_COUNT, TITLE_COUNT = 40, 30
STRANGER = "stranger"
NEW_TITLE = "Brand New (2031)"


def write_model(folder: Path, seed: int = 0, apart: bool = False) -> DenseWeights:
    """Write a ranker of random weights that knows users u0 to u39 and titles t0 to t29.

    If `apart`, its users' vectors lie beside it.
    """
    weights = oracle.random_weights(USER_COUNT, TITLE_COUNT, np.random.default_rng(seed))
    # Some titles have the same vector, so there are ties to get right.
    same = weights.title_embedding.copy()
    same[5:9] = same[4]
    weights = replace(weights, title_embedding=same)
    folder.mkdir(parents=True)
    description = {
        "model_kind": "basic",
        "score_kind": "rating",
        "model_version": model_version("basic", weights),
        "parameters": {"trainable": 1},
        "blessed": {"blessed": True, "why": ["It belongs to a test."]},
    }
    if apart:
        description["user_vectors"] = write_user_vectors(weights, description["model_version"], folder)
    export(DenseRecommender(weights.without_users() if apart else weights), description, folder)
    return weights


def write_movielens(folder: Path, source: Path) -> None:
    """Write the interactions of MovieLens 100K as Parquet, and a relevance ranker fitted to them."""
    path = folder / "ratings" / "part.parquet"
    path.parent.mkdir(parents=True)
    parquet.write_table(read_interactions(str(source)).table, path, row_group_size=20_000)
    train.main(["--dataset", str(path), "--model_dir", str(folder / "model"), "--epochs", "1", "--refit"])


def write_users(path: Path, users: Sequence[tuple[str | None, Sequence[str] | None]], row_group_size: int = 7) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = [list(column) for column in zip(*users, strict=True)] or [[], []]
    parquet.write_table(pa.table(columns, schema=USERS), path, row_group_size=row_group_size)


def write_candidates(path: Path, titles: Sequence[str | None]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table([pa.array(titles, pa.string())], schema=CANDIDATES), path)


def some_users() -> list[tuple[str, list[str]]]:
    """Every known user and a stranger, with histories from none to nearly all titles."""
    rng = np.random.default_rng(7)
    users = [
        (f"u{number}", [f"t{title}" for title in rng.choice(TITLE_COUNT, number % TITLE_COUNT, replace=False)])
        for number in range(USER_COUNT)
    ]
    return [*users, (STRANGER, ["t1", "never heard of"])]


def some_titles() -> list[str]:
    """Every title that the model knows and one that it does not know, in random order."""
    titles = [f"t{number}" for number in range(TITLE_COUNT)] + [NEW_TITLE]
    return [titles[place] for place in np.random.default_rng(8).permutation(len(titles))]
