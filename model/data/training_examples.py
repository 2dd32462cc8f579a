"""Training examples on disk, in the order in which a model sees them, read a batch at a time.

A fit passes over the interactions many times, in a random order. So the examples are written once in that order, as
Parquet, and every pass reads them from front to back. Memory holds a batch or two, however many examples there are.

The memory of training then grows with:

- interactions: the table that they are read into takes 42 bytes a row, and the histories of sequential EASE 16 bytes a
  row; examples take none;
- users and titles: for each of them ratings take 4 x 11 Gaussians and the optimizer's moments of these, and relevance
  takes 97 floats.

Ten million users and more need another plan for what grows with users:

- Relevance needs no table of users in training. A user's vector is a weighted sum over their history, so histories can
  stream in the order of users and the vectors be written as they are made. A sample of a million histories is enough to
  learn the weights of 20,000 titles.
- Ratings can use `hash(user_id) % buckets` in place of a vocabulary, with two hashes whose vectors are added, so that
  hardly two users share both (Svenstrup, Hansen and Winther 2017, "Hash embeddings for efficient word
  representations"). A million buckets serve ten million users in the memory of a million. A user with few ratings is
  close to the prediction from side features anyway.
- Where every user must have a vector of their own in one TensorFlow model, shard its table by rows over parameter
  servers (`tf.distribute.ParameterServerStrategy` with a `MinSizePartitioner`), use an optimizer that touches only the
  rows of the batch in place of Adam, and let each worker read a share of the row groups of the examples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from pyarrow import parquet

from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID, USER_RATING

ROWS_A_GROUP = 1 << 18
BATCHES_AHEAD = 2

Columns = Mapping[str, np.ndarray | pa.ChunkedArray]
"""Columns of equal length by name: integers, floats or strings."""


@dataclass(frozen=True)
class Examples:
    """A Parquet file of examples."""

    path: Path
    rows: int

    def batch_count(self, size: int) -> int:
        """How many batches of `size` rows there are; the last one may have fewer rows."""
        return -(-self.rows // size)

    def batches(self, size: int) -> tf.data.Dataset:
        """Batches in the order of the file: each column by name, `[size]`; the last batch may be smaller."""
        schema = parquet.read_schema(self.path)
        signature = {field.name: tf.TensorSpec([None], _dtype(field.type), field.name) for field in schema}

        def read() -> Iterator[dict[str, np.ndarray]]:
            with parquet.ParquetFile(self.path, pre_buffer=False) as file:
                for batch in file.iter_batches(size):
                    yield {name: batch[name].to_numpy(zero_copy_only=False) for name in schema.names}

        number = tf.data.experimental.assert_cardinality(self.batch_count(size))
        return tf.data.Dataset.from_generator(read, output_signature=signature).apply(number).prefetch(BATCHES_AHEAD)


@contextmanager
def on_disk(columns: Columns, order: np.ndarray | None = None) -> Iterator[Examples]:
    """Write examples to a temporary file, which is deleted at the end of the block.

    Args:
      columns: of the examples.
      order: `int64[rows]`, the row that comes at each place; by default the rows keep their order.
    """
    table = pa.table(dict(columns)).combine_chunks()
    with tempfile.TemporaryDirectory(prefix="examples-") as folder:
        path = Path(folder) / "examples.parquet"
        with parquet.ParquetWriter(path, table.schema, compression="zstd") as writer:
            for first in range(0, table.num_rows, ROWS_A_GROUP):
                some = slice(first, first + ROWS_A_GROUP)
                writer.write_table(table[some] if order is None else table.take(pa.array(order[some])))
        yield Examples(path, table.num_rows)


def learning_order(table: pa.Table, seed: int) -> np.ndarray:
    """`int64[rows]`: the rows of a table of interactions in an order drawn by `seed`, whatever their order there."""
    columns = (TIMESTAMP, USER_ID, MOVIE_TITLE, USER_RATING)
    in_order = pc.sort_indices(table, [(name, "ascending") for name in columns]).to_numpy()
    return np.random.default_rng(seed).permutation(in_order)


def _dtype(kind: pa.DataType) -> tf.DType:
    return tf.string if pa.types.is_string(kind) else tf.as_dtype(pa.array([], kind).to_numpy().dtype)
