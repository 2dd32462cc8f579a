"""The flags that say which dataset a command reads and how it splits it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from model.cli import InputError, about
from model.data.interactions import ColumnError, Interactions
from model.data.sources import SAMPLE, check_dataset, parse_columns, read_interactions
from model.data.sources.tfds import DataDirError
from model.data.splits import NAMES, Split, split_interactions


def add_dataset_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--dataset`, `--columns` and `--tfds_data_dir`."""
    parser.add_argument(
        "--dataset",
        default=SAMPLE,
        help="sample, movielens/100k-ratings or another TFDS name, a MovieLens folder or zip, or Parquet or CSV files "
        "by path, folder or glob; local or gs://",
    )
    parser.add_argument(
        "--columns",
        default="",
        metavar="OURS=THEIRS,..",
        help="names of columns in Parquet or CSV files where they differ, as user_id=uid,movie_title=film",
    )
    parser.add_argument(
        "--tfds_data_dir", help="where TFDS prepares datasets; by default TFDS_DATA_DIR or ~/tensorflow_datasets"
    )


def add_split_flags(parser: argparse.ArgumentParser) -> None:
    """Add `--split`, `--last_n`, `--validation_dataset` and `--test_dataset`."""
    parser.add_argument(
        "--split", choices=NAMES, help="how interactions are set aside for measuring; the default depends on the model"
    )
    parser.add_argument(
        "--last_n", type=int, default=5, help="how many interactions of each user --split last_n sets aside"
    )
    parser.add_argument("--validation_dataset", help="for --split given, what to validate on, as --dataset takes it")
    parser.add_argument("--test_dataset", help="for --split given, what to test on, as --dataset takes it")


def read_columns(args: argparse.Namespace) -> dict[str, str]:
    """What `--columns` says: our names to those in the dataset's files."""
    with about("--columns"):
        return parse_columns(args.columns)


def check_dataset_flags(args: argparse.Namespace, default_split: str) -> None:
    """Find what is wrong with the flags without reading any data.

    Raises:
      InputError: there is no such dataset, or the flags contradict each other.
    """
    columns = read_columns(args)
    _check_split_flags(args, args.split or default_split)
    with about_dataset():
        check_dataset(args.dataset, columns)


def read_dataset(args: argparse.Namespace) -> Interactions:
    """Read what `--dataset` names.

    Raises:
      InputError: there is no such dataset, it cannot be read, or no row of it can be used.
    """
    return _read(args, "--dataset", args.dataset)


def split_dataset(table: pa.Table, args: argparse.Namespace, default: str = "time") -> Split:
    """Split `table` as the flags of `add_split_flags` and `--seed` say, and by `default` where `--split` is not given.

    Raises:
      InputError: the flags contradict each other, or a given dataset cannot be read.
    """
    name = args.split or default
    _check_split_flags(args, name)
    if name == "given":
        given = _given(args).items()
        validation, test = (_read(args, flag, dataset) if dataset else None for flag, dataset in given)
        return split_interactions(table, name, validation=validation, test=test)
    with about("--split"):
        return split_interactions(table, name, seed=args.seed, last_n=args.last_n)


@contextmanager
def about_dataset(flag: str = "--dataset") -> Iterator[None]:
    """Put `flag` before the message of an `InputError`, and add the flag that mends it where there is one."""
    with about(flag):
        try:
            yield
        except ColumnError as error:
            raise InputError(f"{error} with --columns {error.column}=THEIRS") from error.__cause__
        except DataDirError as error:
            raise InputError(f"{error} with --tfds_data_dir") from error.__cause__


def _check_split_flags(args: argparse.Namespace, name: str) -> None:
    given = [flag for flag, dataset in _given(args).items() if dataset]
    if name == "given" and not given:
        raise InputError("--split given: needs --validation_dataset or --test_dataset or both")
    if name != "given" and given:
        raise InputError(f"{given[0]} goes with --split given, not with --split {name}; leave one out")
    if args.last_n < 1:
        raise InputError(f"--last_n {args.last_n}: give a whole number of at least 1")


def _given(args: argparse.Namespace) -> dict[str, str | None]:
    return {"--validation_dataset": args.validation_dataset, "--test_dataset": args.test_dataset}


def _read(args: argparse.Namespace, flag: str, dataset: str) -> Interactions:
    columns = read_columns(args)
    with about_dataset(flag):
        return read_interactions(dataset, columns, args.tfds_data_dir)
