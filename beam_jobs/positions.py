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
    parts = [_of_chunk(chunk, among) for chunk in chunks]
    return parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.int32)])


def positions_in_lists(lists: pa.ChunkedArray, among: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """`positions` of all that is in the lists, `int32[S]`, those that are not among `among` left out.

    Returns:
      The positions, and `int64[rows + 1]`, where those of each list begin and end. A null list is an empty one.
    """
    found = [positions(chunk.flatten(), among) for chunk in lists.chunks]
    lengths = [np.asarray(pc.fill_null(pc.list_value_length(chunk), 0), np.int64) for chunk in lists.chunks]
    places, ends = (np.concatenate([*parts, np.empty(0, np.int32)]) for parts in (found, lengths))
    kept = places >= 0
    if kept.all():
        return places.astype(np.int32, copy=False), np.concatenate([[0], np.cumsum(ends, dtype=np.int64)])
    splits = np.concatenate([[0], np.cumsum(kept)])[np.concatenate([[0], np.cumsum(ends, dtype=np.int64)])]
    return places[kept].astype(np.int32, copy=False), splits


def array(column: pa.ChunkedArray) -> pa.Array:
    """The one array of a column; Arrow gives an empty column no chunk at all."""
    column = column.combine_chunks()
    return pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column


def _of_chunk(values: pa.Array, among: pa.Array) -> np.ndarray:
    if not pa.types.is_dictionary(values.type):
        found = pc.index_in(values.cast(among.type), value_set=among, skip_nulls=True)
        return np.asarray(pc.fill_null(found, -1), np.int32)
    of_words = np.append(_of_chunk(values.dictionary, among), np.int32(-1))  # the last for null
    codes = values.indices
    if codes.null_count:
        codes = pc.fill_null(codes, len(values.dictionary))
    return of_words[codes.to_numpy()]
