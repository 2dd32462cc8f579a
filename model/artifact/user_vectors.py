"""The vectors of a model's users as Parquet, for models with too many users for the memory of each worker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

from model.artifact.model_json import sha256
from model.contract import KNOWN, USER_ID, USER_VECTOR, USER_VECTORS_FOLDER, VECTORS_OF
from model.retrieval.weights import Weights

ROWS_PER_FILE = 1 << 18
ROWS_PER_GROUP = 1 << 14

SCHEMA = pa.schema([(USER_ID, pa.string()), (USER_VECTOR, pa.list_(pa.float32())), (KNOWN, pa.bool_())])
"""One row for each user of the vocabulary, in its order. All vectors have the same length."""


def write_user_vectors(weights: Weights, model_version: str, folder: Path) -> dict[str, Any]:
    """Write the users' vectors to the model's `folder`, beside a SavedModel of `weights.without_users()`.

    Returns:
      For `model.json`: `width`, the length of a vector, and `files`, the SHA-256 of each file by its path relative to
      `folder`.
    """
    schema = SCHEMA.with_metadata({VECTORS_OF: model_version})
    (folder / USER_VECTORS_FOLDER).mkdir()
    tables = weights.user_tables
    names: list[str] = []
    for first in range(0, len(weights.user_ids), ROWS_PER_FILE):
        names.append(f"{USER_VECTORS_FOLDER}/part-{len(names):05}.parquet")
        past = min(first + ROWS_PER_FILE, len(weights.user_ids))
        # Floats hardly repeat, so a dictionary would cost time and save no space.
        with parquet.ParquetWriter(folder / names[-1], schema, use_dictionary=False) as writer:
            for start in range(first, past, ROWS_PER_GROUP):
                writer.write_table(_rows(weights, tables, slice(start, min(start + ROWS_PER_GROUP, past)), schema))
    width = sum(table.shape[1] for table in tables)
    return {"width": width, "files": {name: sha256(folder / name) for name in names}}


def _rows(weights: Weights, tables: Sequence[np.ndarray], some: slice, schema: pa.Schema) -> pa.Table:
    """The rows of `some` users of the vocabulary; in the tables they are one row further."""
    rows = slice(some.start + 1, some.stop + 1)
    vectors = np.concatenate([table[rows] for table in tables], axis=1)
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(vectors.ravel()))
    columns = [pa.array(weights.user_ids[some], pa.string()), lists, pa.array(weights.known[rows])]
    return pa.table(columns, schema=schema)
