"""User vectors that are kept beside the model: how they get into the users table, and whether they fit the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io import storage
from beam_jobs.io.footer import Footer, read_footers
from beam_jobs.io.schemas import USERS, USERS_WITH_VECTORS
from model.cli import InputError
from model.contract import KNOWN, MODEL_FILE, USER_ID, USER_VECTOR, USER_VECTORS_FOLDER, VECTORS_OF

VECTORS = pa.schema([USERS_WITH_VECTORS.field(name) for name in (USER_ID, USER_VECTOR, KNOWN)])
"""One row for each user of the model's vocabulary."""

REMEDY = "train it with `nightrank train --user_vectors apart`"


@dataclass(frozen=True)
class UserVectors:
    """The vectors of a model's users as Parquet files."""

    model_version: str
    paths: Sequence[str]
    width: int
    """Numbers in a vector."""
    rows: int


def find_vectors(model: str) -> UserVectors:
    """The vectors beside the model in the folder `model`, by its `model.json` and the files' footers.

    Raises:
      InputError: the model has none, or the files are not those of this model.
    """
    path = storage.join(model, MODEL_FILE)
    description = storage.read_json(path)
    described = description.get("user_vectors") if isinstance(description, dict) else None
    if not described:
        raise InputError(f"{path}: names no user vectors, so they are inside the model; {REMEDY}")
    version = description["model_version"]
    paths = [storage.join(model, name) for name in described["files"]]
    there = set(storage.list_files(storage.join(model, USER_VECTORS_FOLDER, "*.parquet")))
    for path in paths:
        if path not in there:
            raise InputError(f"{path}: missing; copy the model again or {REMEDY}")
    footers = read_footers(paths)
    for footer in footers:
        footer.check_columns(VECTORS)
        check_version(footer, version)
    return UserVectors(version, paths, described["width"], sum(footer.rows for footer in footers))


def users_schema(users: Sequence[Footer], model: str, model_version: str, needed: bool) -> pa.Schema:
    """The schema of a users table: `beam_jobs.io.schemas.USERS`, or `USERS_WITH_VECTORS` where it has vectors.

    Args:
      users: the footers of the table's files.
      model: the folder of the model that will score the users.
      model_version: its version.
      needed: whether the model needs the vectors.

    Raises:
      InputError: some files have vectors and others do not, all lack vectors that the model needs, or the vectors are
        another model's.
    """
    without = [footer for footer in users if USER_VECTOR not in footer.schema.names]
    if without and (needed or len(without) < len(users)):
        needing = "other files have" if len(without) < len(users) else f"the model in {model} needs"
        raise InputError(
            f"{without[0].path}: has no column {USER_VECTOR!r}, which {needing}; "
            f"write it with `nightrank prepare --with_vectors {model}`"
        )
    if without:
        return USERS
    for footer in users:
        footer.check_columns(USERS_WITH_VECTORS)
        check_version(footer, model_version)
    return USERS_WITH_VECTORS


def check_version(footer: Footer, model_version: str) -> None:
    """Raises InputError unless a file's metadata says that its vectors are that model's."""
    found = footer.metadata.get(VECTORS_OF)
    if found is None:
        raise InputError(
            f"{footer.path}: has the column {USER_VECTOR!r} but does not say of which model; "
            "write it with `nightrank prepare --with_vectors`"
        )
    if found != model_version:
        raise InputError(
            f"{footer.path}: its vectors are of {found}, not of the model {model_version}; "
            "write it again with `nightrank prepare --with_vectors` and this model"
        )


def separate_vectors(tables: Iterable[pa.Table]) -> tuple[list[pa.Table], pa.Table]:
    """The tables without vectors, unchanged, and the rows of all others in one table of `VECTORS`."""
    others, vectors = list[pa.Table](), [VECTORS.empty_table()]
    for table in tables:
        if USER_VECTOR in table.column_names:
            vectors.append(table.select(VECTORS.names).cast(VECTORS))
        else:
            others.append(table)
    return others, pa.concat_tables(vectors)


def join_vectors(users: pa.Table, vectors: pa.Table, model_version: str) -> tuple[pa.Table, int]:
    """Give users their vectors.

    Args:
      users: `beam_jobs.io.schemas.USERS`.
      vectors: `VECTORS`, of distinct users.
      model_version: the model of the vectors, which goes into the metadata.

    Returns:
      `beam_jobs.io.schemas.USERS_WITH_VECTORS`, null where a user has no vector; and how many users have one.
    """
    index = pc.index_in(users[USER_ID], value_set=vectors[USER_ID].combine_chunks())
    found = vectors.select([USER_VECTOR, KNOWN]).take(index)
    joined = pa.table([*users.columns, *found.columns], schema=USERS_WITH_VECTORS)
    return joined.replace_schema_metadata({VECTORS_OF: model_version}), len(index) - index.null_count


def as_matrix(column: pa.ChunkedArray, filler: np.ndarray) -> np.ndarray:
    """A column of vectors as `float32[rows, W]`, with `filler`, `float32[W]`, in place of null.

    Raises:
      InputError: a vector does not have W numbers.
    """
    width = len(filler)
    lengths = pc.fill_null(pc.list_value_length(column), width)
    if not pc.all(pc.equal(lengths, width)).as_py() and len(column):
        raise InputError(f"a vector in the column {USER_VECTOR!r} does not have the model's {width} numbers; {REMEDY}")
    rows = np.tile(filler, (len(column), 1))
    numbers = np.asarray(pc.list_flatten(column), np.float32)
    rows[np.asarray(column.is_valid(), bool)] = numbers.reshape(-1, width)
    return rows
