"""Arrow columns as arrays: where strings stand in a list of strings."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def positions(values: pa.ChunkedArray | pa.Array, among: pa.Array) -> np.ndarray:
    """`int32[rows]`: the position of each of `values`, strings or a dictionary of them, in `among`, `string[M]`.

    -1 for null and for what is not among them; of equal ones the first position. Of a dictionary each word is looked
    up once, and rows take no more than a gather of whole numbers.
    """
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    words = [chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk for chunk in chunks]
    # All chunks' at once, because `among` is made a table for each look-up: of a million it takes a fifth of a second.
    found = pc.index_in(
        pa.chunked_array([some.cast(among.type) for some in words], among.type), value_set=among, skip_nulls=True
    )
    of_words = np.asarray(pc.fill_null(found, -1), np.int32)
    starts = np.cumsum([0, *map(len, words)])
    parts = [
        _of_rows(chunk, of_words[first:past])
        for chunk, first, past in zip(chunks, starts[:-1], starts[1:], strict=True)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.int32)])


def positions_in_lists(lists: pa.ChunkedArray, among: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """`positions` of all that is in the lists, `int32[S]`, those that are not among `among` left out.

    Returns:
      The positions, and `int64[rows + 1]`, where those of each list begin and end. A null list is an empty one.
    """
    places = positions(pa.chunked_array([chunk.flatten() for chunk in lists.chunks], lists.type.value_type), among)
    lengths = np.asarray(pc.fill_null(pc.list_value_length(lists), 0), np.int64)
    splits = np.concatenate([[0], np.cumsum(lengths)])
    kept = places >= 0
    if kept.all():
        return places, splits
    return places[kept], np.concatenate([[0], np.cumsum(kept)])[splits]


def array(column: pa.ChunkedArray) -> pa.Array:
    """The one array of a column; Arrow gives an empty column no chunk at all."""
    column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _of_rows(values: pa.Array, of_words: np.ndarray) -> np.ndarray:
    """What was found for each row, from what was found for each word of a dictionary, or for each row already."""
    if not pa.types.is_dictionary(values.type):
        return of_words
    codes = values.indices
    if codes.null_count:
        codes = pc.fill_null(codes, len(of_words))
    # The last for null. NumPy's `take` needs half of the time of an index.
    return np.append(of_words, np.int32(-1)).take(codes.to_numpy())
