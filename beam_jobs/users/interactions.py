"""The dataset as Parquet files that workers read: its own, or what was read of it and written anew."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from beam_jobs.io import parquet_files, storage
from model.cli import InputError
from model.data.interactions import conform
from model.data.sources import parquet_files as parquet_files_of
from model.dataset_flags import about_dataset, read_columns, read_dataset

ROWS_A_GROUP = 1 << 17


@dataclass(frozen=True)
class Source:
    """Interactions as Parquet files, as they came or as they were just written."""

    paths: Sequence[str]
    columns: Mapping[str, str]
    """Our names to the files', where they differ."""
    rows: int
    schema: pa.Schema
    """Of the interactions once conformed."""
    rejects: Mapping[str, int]
    """Rows that were left out before the files were written, by reason."""


def open_source(args: argparse.Namespace, folder: str) -> Source:
    """The dataset's own files where it is Parquet, so that workers read them; else it is read here and written anew.

    Raises:
      InputError: the dataset cannot be used.
    """
    columns = read_columns(args)
    with about_dataset():
        paths = parquet_files_of(args.dataset)
    if paths:
        return _check_parquet(args.dataset, paths, columns)
    interactions = read_dataset(args)
    path = storage.join(folder, "part.parquet")
    parquet_files.write_table(interactions.table, path, ROWS_A_GROUP)
    rows, schema = interactions.table.num_rows, interactions.table.schema
    return Source([path], {}, rows, schema, interactions.rejects)


def _check_parquet(dataset: str, paths: Sequence[str], columns: Mapping[str, str]) -> Source:
    """Raises InputError: a file is not Parquet, lacks a column, or has other columns than the first; or no rows."""
    footers = [parquet_files.read_footer(path, "--dataset") for path in paths]
    with about_dataset():
        schemas = [
            conform(found.empty_table(), columns, path)[0].schema
            for path, (found, _) in zip(paths, footers, strict=True)
        ]
    kinds = [set(zip(schema.names, schema.types, strict=True)) for schema in schemas]
    for path, found in zip(paths, kinds, strict=True):
        if differing := {name for name, _ in found ^ kinds[0]}:
            names = ", ".join(sorted(differing))
            raise InputError(
                f"--dataset {path}: has other columns than {paths[0]} or of other types ({names}); "
                "give files with equal columns"
            )
    rows = sum(sum(groups) for _, groups in footers)
    if not rows:
        raise InputError(f"--dataset {dataset}: it has no rows; give one that has interactions")
    return Source(paths, columns, rows, schemas[0], {})
