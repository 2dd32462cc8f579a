"""The vectors of a model's users, where they lie beside it, and how they come to the users table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.schemas import USERS_WITH_VECTORS
from model.cli import InputError
from model.contract import KNOWN, MODEL_FILE, USER_ID, USER_VECTOR, USER_VECTORS_FOLDER, VECTORS_OF

VECTORS = pa.schema([USERS_WITH_VECTORS.field(name) for name in (USER_ID, USER_VECTOR, KNOWN)])
"""One row a user of the model's vocabulary."""

REMEDY = "train it with `python -m model.train --user_vectors apart`"


@dataclass(frozen=True)
class UserVectors:
    """The vectors of a model's users as Parquet files."""

    model_version: str
    paths: Sequence[str]
    width: int
    """Numbers of a vector."""
    rows: int


def find_vectors(model: str, flag: str) -> UserVectors:
    """The vectors beside the model in the folder `model`, as its description and the files' footers have them.

    Raises:
      InputError: it has none, or the files are not those of this model.
    """
    path = storage.join(model, MODEL_FILE)
    description = storage.read_json(path, flag)
    described = description.get("user_vectors") if isinstance(description, dict) else None
    if not described:
        raise InputError(f"{flag} {path}: names no vectors of users, so they are inside the model; {REMEDY}")
    version = description["model_version"]
    paths = [storage.join(model, name) for name in described["files"]]
    there = set(storage.list_files(storage.join(model, USER_VECTORS_FOLDER, "*.parquet"), flag))
    rows = 0
    for file in paths:
        if file not in there:
            raise InputError(f"{flag} {file}: missing; copy the model again or {REMEDY}")
        rows += sum(parquet_files.check_schema(file, VECTORS, flag))
        check_version(file, version, flag)
    return UserVectors(version, paths, described["width"], rows)


def check_version(path: str, model_version: str, flag: str) -> None:
    """Raises InputError unless a file's metadata says that its vectors are of that model."""
    found = parquet_files.read_metadata(path, flag).get(VECTORS_OF)
    if found is None:
        raise InputError(
            f"{flag} {path}: has the column {USER_VECTOR!r} but says not of which model; "
            "write it with `python -m beam_jobs.prepare --with_vectors`"
        )
    if found != model_version:
        raise InputError(
            f"{flag} {path}: its vectors are of {found}, not of the model {model_version}; "
            "prepare it anew --with_vectors of this model"
        )


def divide(parts: Iterable[pa.Table]) -> tuple[list[pa.Table], pa.Table]:
    """The tables without vectors, as they are, and the rows of all others in one, `VECTORS`."""
    others, vectors = list[pa.Table](), [VECTORS.empty_table()]
    for part in parts:
        if USER_VECTOR in part.column_names:
            vectors.append(part.select(VECTORS.names).cast(VECTORS))
        else:
            others.append(part)
    return others, pa.concat_tables(vectors)


def join_vectors(users: pa.Table, vectors: pa.Table, model_version: str) -> tuple[pa.Table, int]:
    """Give users their vectors.

    Args:
      users: `beam_jobs.io.schemas.USERS`.
      vectors: `VECTORS`, of distinct users.
      model_version: that they are of, which goes into the metadata.

    Returns:
      `beam_jobs.io.schemas.USERS_WITH_VECTORS`, null where a user has no vector; and how many have one.
    """
    place = pc.index_in(users[USER_ID], value_set=vectors[USER_ID].combine_chunks())
    found = vectors.select([USER_VECTOR, KNOWN]).take(place)
    joined = pa.table([*users.columns, *found.columns], schema=USERS_WITH_VECTORS)
    return joined.replace_schema_metadata({VECTORS_OF: model_version}), len(place) - place.null_count


def as_rows(column: pa.ChunkedArray, filler: np.ndarray) -> np.ndarray:
    """A column of lists as `float32[rows, W]`, with `filler`, `float32[W]`, for null.

    Raises:
      InputError: a list has not W numbers.
    """
    width = len(filler)
    lengths = pc.fill_null(pc.list_value_length(column), width)
    if not pc.all(pc.equal(lengths, width)).as_py() and len(column):
        raise InputError(
            f"--users: a vector in the column {USER_VECTOR!r} has not the model's {width} numbers; {REMEDY}"
        )
    rows = np.tile(filler, (len(column), 1))
    numbers = np.asarray(pc.list_flatten(column), np.float32)
    rows[np.asarray(column.is_valid(), bool)] = numbers.reshape(-1, width)
    return rows
