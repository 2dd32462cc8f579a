"""The interactions of a dataset as Parquet files that workers can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from beam_jobs.io import parquet_files, storage
from beam_jobs.io.footer import read_footers
from model.cli import InputError
from model.data import sources
from model.data.interactions import conform

ROWS_A_GROUP = 1 << 17


@dataclass(frozen=True)
class Source:
    """Interactions as Parquet files."""

    paths: Sequence[str]
    """The dataset's own files, or one that was just written."""
    columns: Mapping[str, str]
    """Our names of columns to those in the files, where they differ."""
    rows: int
    schema: pa.Schema
    """Of the interactions once they are conformed."""
    rejects: Mapping[str, int]
    """Rows that were left out before the files were written, by reason."""


def open_source(dataset: str, columns: Mapping[str, str], tfds_data_dir: str | None, folder: str) -> Source:
    """Find the files of a dataset that is Parquet. Read any other dataset here, and write it into `folder`.

    Args:
      dataset: see `model.data.sources.read_interactions`.
      columns: our names of columns to the dataset's, where they differ.
      tfds_data_dir: where TensorFlow Datasets prepares datasets.
      folder: for the file to write.

    Raises:
      InputError: the dataset cannot be used.
    """
    paths = sources.parquet_files(dataset)
    if paths:
        return check_files(dataset, paths, columns)
    interactions = sources.read_interactions(dataset, columns, tfds_data_dir)
    path = storage.join(folder, "part.parquet")
    parquet_files.write_table(interactions.table, path, ROWS_A_GROUP)
    rows, schema = interactions.table.num_rows, interactions.table.schema
    return Source([path], {}, rows, schema, interactions.rejects)


def check_files(dataset: str, paths: Sequence[str], columns: Mapping[str, str]) -> Source:
    """Check the files of a dataset that is Parquet, by their footers alone.

    Raises:
      InputError: a file is not Parquet, lacks a column or has other columns than the first; or there are no rows.
    """
    footers = read_footers(paths)
    schemas = [conform(footer.schema.empty_table(), columns, footer.path)[0].schema for footer in footers]
    kinds = [set(zip(schema.names, schema.types, strict=True)) for schema in schemas]
    for path, found in zip(paths, kinds, strict=True):
        if differing := {name for name, _ in found ^ kinds[0]}:
            names = ", ".join(sorted(differing))
            raise InputError(
                f"{path}: has other columns than {paths[0]}, or columns of other types ({names}); "
                "give files with equal columns"
            )
    rows = sum(footer.rows for footer in footers)
    if not rows:
        raise InputError(f"{dataset}: it has no rows; give one that has interactions")
    return Source(paths, columns, rows, schemas[0], {})
