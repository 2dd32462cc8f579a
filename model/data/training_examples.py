"""Training examples on disk, in the order in which a model is to see them, read a batch at a time.

A table of interactions is read once; what is learned from it goes over it many times, in an order that is drawn. So the
examples are written in that order, as Parquet, and every pass reads them from front to back: in memory is a batch or
two, however many examples there are.

What the memory of training grows with:

- Interactions: the table that they are read into, 42 bytes a row, and the histories that closeness is computed from,
  16 bytes a row. What is learned in batches takes none.
- Users and titles: their vectors. Ratings take 4 x 11 Gaussians for each and an optimizer's moments for each of these,
  relevance 97 floats.

A million users, 27,000 titles and ten million interactions, two fifths of them held out, take `relevance` 36 minutes
and 9.0 GiB from reading to the exported model, on two cores of which other work had a part.

A vocabulary of ten million users and more needs another plan for what grows with users:

- Relevance needs no table of users in training. A user's vector is a weighted sum over the history, so histories stream
  in the order of users and the vectors are written out as they are made. What titles have to do with each other is
  learned from a sample of histories: a million of them settle it for 20,000 titles.
- Ratings: `hash(user_id) % buckets` in place of a vocabulary, by two hashes whose vectors are added, so that hardly two
  users share both (Svenstrup, Hansen and Winther 2017, "Hash embeddings for efficient word representations"). A
  million buckets serve ten million users with the memory of one; whoever has few ratings is near the prediction of the
  side features anyway.
- Where every user is to have a vector of their own in one TensorFlow model, its table is sharded by rows over parameter
  servers (`tf.distribute.ParameterServerStrategy` with a `MinSizePartitioner`), with an optimizer that touches the rows
  of the batch alone in place of Adam, and each worker reads a share of the examples' row groups.
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
"""By name, of one length: whole numbers, floats or strings."""


@dataclass(frozen=True)
class Examples:
    """A Parquet file of examples."""

    path: Path
    rows: int

    def batch_count(self, size: int) -> int:
        """How many batches of `size` rows there are; the last one may have fewer rows."""
        return -(-self.rows // size)

    def batches(self, size: int) -> tf.data.Dataset:
        """The columns by name, `[size]` each and fewer in the last batch, in the order of the file."""
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
    """Examples in a temporary file, gone afterwards.

    Args:
      columns: what each example has.
      order: `int64[rows]`, which example comes when; by default as they are.
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
    """`int64[rows]`: the rows of a table of interactions in an order drawn by `seed`, the same for the same rows."""
    columns = (TIMESTAMP, USER_ID, MOVIE_TITLE, USER_RATING)
    in_order = pc.sort_indices(table, [(name, "ascending") for name in columns]).to_numpy()
    return np.random.default_rng(seed).permutation(in_order)


def _dtype(kind: pa.DataType) -> tf.DType:
    return tf.string if pa.types.is_string(kind) else tf.as_dtype(pa.array([], kind).to_numpy().dtype)
