"""Reads interactions from any source, by its name or path."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import pyarrow as pa

from model import storage
from model.cli import InputError
from model.data.interactions import Interactions, conform
from model.data.sources import grouplens, tabular, tfds
from model.data.sources.sample import read_sample
from model.data.sources.tabular import parse_columns

__all__ = ["SAMPLE", "parquet_files", "parse_columns", "read_interactions"]

SAMPLE = "sample"
"""The name of the dataset that needs neither files nor a network."""


def read_interactions(
    dataset: str, columns: Mapping[str, str] | None = None, tfds_data_dir: str | None = None
) -> Interactions:
    """Read a dataset, its rows in the order of their source.

    Args:
      dataset: `sample`, one of `tfds.NAMES`, or a path, folder or glob.
      columns: our names to those in Parquet or CSV files, where they differ.
      tfds_data_dir: where TensorFlow Datasets (TFDS) prepares datasets.

    Raises:
      InputError: there is no such dataset, it cannot be read, or no row of it can be used.
    """
    columns = columns or {}
    check_dataset(dataset, columns)
    table, rejects = _read(dataset, columns, tfds_data_dir)
    if not table.num_rows:
        reasons = ", ".join(f"{count:,} with {reason}" for reason, count in rejects.items())
        what = f"none of its rows can be used ({reasons})" if reasons else "it has no rows"
        raise InputError(f"{dataset}: {what}; give one that has interactions")
    return Interactions(table, dataset, rejects)


def check_dataset(dataset: str, columns: Mapping[str, str]) -> None:
    """Find what is wrong with the arguments of `read_interactions` without reading the dataset.

    Raises:
      InputError: there is no such dataset, or its columns cannot be renamed.
    """
    fixed = dataset == SAMPLE or dataset in tfds.NAMES
    if not fixed:
        _check_there(dataset)
        fixed = bool(columns and grouplens.find_release(dataset))
    if fixed and columns:
        raise InputError(
            f"{dataset}: its columns have fixed names; leave `columns` out, which is for Parquet and CSV files"
        )


def parquet_files(dataset: str) -> list[str] | None:
    """The files of a dataset that is Parquet by path, folder or glob; None for any other dataset.

    Raises:
      InputError: there is no such dataset.
    """
    if dataset == SAMPLE or dataset in tfds.NAMES:
        return None
    _check_there(dataset)
    if grouplens.find_release(dataset):
        return None
    files = tabular.find_files(dataset)
    return files if all(tabular.is_parquet(path) for path in files) else None


def _read(dataset: str, columns: Mapping[str, str], tfds_data_dir: str | None) -> tuple[pa.Table, dict[str, int]]:
    if dataset == SAMPLE:
        return read_sample(), {}
    if dataset in tfds.NAMES:
        return conform(tfds.read_tfds(dataset, tfds_data_dir), {}, dataset)
    release = grouplens.find_release(dataset)
    if release:
        return conform(grouplens.read_release(release), {}, dataset)
    return tabular.read_files(tabular.find_files(dataset), columns)


def _check_there(dataset: str) -> None:
    """Raises: InputError: nothing is at the path `dataset`. The message suggests what the user may have meant."""
    if storage.exists(dataset) or storage.expand(dataset):
        return
    if storage.has_wildcards(dataset):
        raise InputError(f"{dataset}: no file matches; check the path")
    names = [SAMPLE, *tfds.NAMES]
    close = difflib.get_close_matches(dataset, names, n=1, cutoff=0.7)
    meant = f"; did you mean {close[0]}" if close else ""
    raise InputError(
        f"{dataset}: no such dataset, file or folder{meant}; accepted are {', '.join(names)}, "
        "a MovieLens folder or zip, and Parquet or CSV files by path, folder or glob"
    )
