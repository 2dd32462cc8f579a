"""MovieLens as TensorFlow Datasets (TFDS) prepares it."""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from model import storage
from model.cli import InputError
from model.data.interactions import SCHEMA, SIDE_SCHEMA
from model.storage import first_line

_RELEASES = {name: f"ml-{name}.zip" for name in ("100k", "1m", "20m", "25m", "latest-small")}
NAMES = tuple(f"movielens/{release}-ratings" for release in _RELEASES)
"""The names of the datasets of ratings in TFDS."""

DATA_DIR_VARIABLE = "TFDS_DATA_DIR"
DEFAULT_DATA_DIR = "~/tensorflow_datasets"
SITE = "https://files.grouplens.org/datasets/movielens/"
PROBE_SECONDS = 7.0
BATCH_ROWS = 1 << 14


class DataDirError(InputError):
    """The dataset is not usable in this folder of prepared datasets. Another folder may hold it."""


def read_tfds(name: str, data_dir: str | None = None) -> pa.Table:
    """Read a dataset of TFDS, with the names of genres; download and prepare it first if necessary.

    A prepared dataset needs no network.

    Args:
      name: one of `NAMES`.
      data_dir: the folder that TFDS prepares datasets in; by default TFDS_DATA_DIR, or else ~/tensorflow_datasets.

    Raises:
      DataDirError: the dataset is not prepared and cannot be downloaded, or what is prepared is damaged.
      InputError: TFDS is not installed.
    """
    data_dir = data_dir or os.environ.get(DATA_DIR_VARIABLE) or DEFAULT_DATA_DIR
    prepared = _find_prepared(name, data_dir)
    if not prepared:
        # TFDS retries for minutes before it gives up, so ask first whether the site answers.
        reason = _unreachable(SITE + _RELEASES[name.removeprefix("movielens/").removesuffix("-ratings")])
        if reason:
            raise _not_available(name, data_dir, reason)
    tfds = _import_tfds()
    if not prepared:
        try:
            builder = tfds.builder(name, data_dir=storage.expand_home(data_dir))
            builder.download_and_prepare()
        except Exception as error:  # TFDS passes on whatever its downloader and its readers raise.
            raise _not_available(name, data_dir, first_line(error)) from None
        prepared = str(builder.data_dir)
    try:
        # Reading from the folder needs neither the network nor TFDS's script for this dataset.
        return _read(tfds.builder_from_directory(prepared))
    except Exception as error:
        raise DataDirError(
            f"{prepared}: cannot be read as a TFDS dataset ({first_line(error)}); "
            "delete that folder and prepare it again, or name another folder of prepared datasets"
        ) from None


def _find_prepared(name: str, data_dir: str) -> str | None:
    """The folder of the newest version of the dataset in `data_dir`, or None."""
    described = storage.expand(storage.join(storage.join(data_dir, name), "*/dataset_info.json"))
    return max((path.rpartition("/")[0] for path in described), key=_version, default=None)


def _version(folder: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", PurePosixPath(folder).name)]


def _not_available(name: str, data_dir: str, reason: str) -> DataDirError:
    return DataDirError(
        f"{name}: not prepared in {data_dir} and cannot be downloaded ({reason}); give a MovieLens folder or zip, or "
        "sample, in its place, or name a folder where TFDS has prepared it"
    )


def _unreachable(url: str) -> str | None:
    """Why `url` cannot be reached within `PROBE_SECONDS`; None where it can.

    It asks in a thread of its own, because a look-up of a host name has no time limit.
    """
    outcome: list[str | None] = []

    def ask() -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=PROBE_SECONDS).close()
            outcome.append(None)
        except Exception as error:  # Any error is a reason.
            outcome.append(f"{url}: {first_line(error)}")

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return outcome[0] if outcome else f"{url}: no answer in {PROBE_SECONDS:g} s"


def _import_tfds() -> Any:
    try:
        import tensorflow_datasets
    except ImportError as error:
        raise InputError(
            f"TFDS datasets need tensorflow-datasets ({first_line(error)}); install the extra 'train'"
        ) from None
    return tensorflow_datasets


def _read(builder: Any) -> pa.Table:
    features = builder.info.features
    genres = pa.array(features["movie_genres"].feature.names)
    kinds = {field.name: field.type for field in [*SCHEMA, *SIDE_SCHEMA] if field.name in features}
    examples = builder.as_dataset(split="train", shuffle_files=False)
    wanted = examples.map(lambda example: {name: example[name] for name in kinds})
    batches = []
    for batch in wanted.ragged_batch(BATCH_ROWS).prefetch(2):
        columns = {name: _column(batch[name], kind, genres) for name, kind in kinds.items()}
        batches.append(pa.record_batch(columns))
    return pa.Table.from_batches(batches)


def _column(values: Any, kind: pa.DataType, genres: pa.Array) -> pa.Array:
    if pa.types.is_list(kind):
        starts = pa.array(values.row_splits.numpy().astype(np.int32))
        return pa.ListArray.from_arrays(starts, genres.take(pa.array(values.flat_values.numpy())))
    if pa.types.is_string(kind):
        return pa.array(values.numpy(), pa.binary()).cast(kind)
    return pa.array(values.numpy(), kind)
