"""Look strings up in a list of strings, as Arrow columns in and NumPy arrays out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def index_in(values: pa.ChunkedArray | pa.Array, value_set: pa.Array) -> np.ndarray:
    """The index of each value in `value_set`.

    Args:
      values: strings, plain or as dictionaries.
      value_set: `string[M]`. Where two entries are equal, the first one counts.

    Returns:
      `int32[rows]`, with -1 for null and for strings that `value_set` lacks.
    """
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    # Each word of a dictionary is looked up once; its rows then take a gather of whole numbers.
    words = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in chunks]
    # One look-up for all chunks, because each builds a hash table of `value_set`: 0.2 s for a million strings.
    found = pc.index_in(
        pa.chunked_array([some.cast(value_set.type) for some in words], value_set.type),
        value_set=value_set,
        skip_nulls=True,
    )
    of_words = np.asarray(pc.fill_null(found, -1), np.int32)
    starts = np.cumsum([0, *map(len, words)])
    parts = [
        _of_rows(chunk, of_words[first:past])
        for chunk, first, past in zip(chunks, starts[:-1], starts[1:], strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.int32)])


def index_in_lists(lists: pa.ChunkedArray, value_set: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The index of each string of each list in `value_set`; strings that `value_set` lacks are dropped.

    Returns:
      The indices, `int32[S]`, and the row splits, `int64[rows + 1]`: list i has the indices from split i to split
      i + 1. A null list counts as empty.
    """
    words = pa.chunked_array([chunk.flatten() for chunk in lists.chunks], lists.type.value_type)
    indices = index_in(words, value_set)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    splits = np.concatenate([[0], np.cumsum(lengths)])
    kept = indices >= 0
    if kept.all():
        return indices, splits
    return indices[kept], np.concatenate([[0], np.cumsum(kept)])[splits]


def as_array(column: pa.ChunkedArray) -> pa.Array:
    """A column as a single array. An empty column may have no chunk at all."""
    column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _of_rows(values: pa.Array, of_words: np.ndarray) -> np.ndarray:
    """Spread what was found for the words of a dictionary over its rows; plain strings have theirs already."""
    if not pa.types.is_dictionary(values.type):
        return of_words
    codes = values.indices
    if codes.null_count:
        codes = pc.fill_null(codes, len(of_words))
    # The appended -1 is for null. `take` takes half the time of indexing.
    return np.append(of_words, np.int32(-1)).take(codes.to_numpy())
