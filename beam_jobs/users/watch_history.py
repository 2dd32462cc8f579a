"""From interactions to what scoring reads: each user's watch history, and the titles. Plain functions on Arrow."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io.schemas import USERS
from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID


def collect_histories(interactions: pa.Table) -> pa.Table:
    """The distinct titles that each user has seen: `beam_jobs.io.schemas.USERS`, sorted by the bytes of the id.

    A title has the place at which the user first met it, oldest first. Titles of the same second go by their bytes.

    Args:
      interactions: `user_id`, `movie_title` and `timestamp`: all rows of these users, in any order.
    """
    order = pc.sort_indices(interactions, [(name, "ascending") for name in (USER_ID, TIMESTAMP, MOVIE_TITLE)])
    interactions = interactions.take(order)
    user, title = (_codes(interactions[name]) for name in (USER_ID, MOVIE_TITLE))
    first = np.sort(np.unique(user * (title.max(initial=0) + 1) + title, return_index=True)[1])
    starts = np.flatnonzero(np.diff(user[first], prepend=-1))
    offsets = pa.array(np.append(starts, len(first)), pa.int32())
    kept = interactions.take(pa.array(first))
    seen = pa.ListArray.from_arrays(offsets, _array(kept[MOVIE_TITLE]))
    return pa.table([_array(kept[USER_ID]).take(pa.array(starts)), seen], schema=USERS)


def collect_titles(tables: Iterable[pa.Table], schema: pa.Schema) -> pa.Table:
    """The distinct titles of all tables with their side columns: `schema`, sorted by the bytes of the title.

    Where the rows of a title differ, for instance because it has two ids, the first one stays, in the order of the side
    columns' text. So the result does not depend on how rows are spread over tables, and the function can be applied to
    its own results.
    """
    table = pa.concat_tables([schema.empty_table(), *(table.select(schema.names).cast(schema) for table in tables)])
    keys = [table[MOVIE_TITLE], *(_as_text(table[name]) for name in schema.names if name != MOVIE_TITLE)]
    sorting = pa.table(keys, names=[str(number) for number in range(len(keys))])
    order = pc.sort_indices(sorting, [(name, "ascending") for name in sorting.column_names]).to_numpy()
    title = _codes(table[MOVIE_TITLE])[order]
    return table.take(pa.array(order[np.flatnonzero(np.diff(title, prepend=-1))]))


def titles_schema(interactions: pa.Schema) -> pa.Schema:
    """The schema of the candidates table: the title, and the columns about a film, whose names begin with `movie_`."""
    side = [field for field in interactions if field.name.startswith("movie_") and field.name != MOVIE_TITLE]
    return pa.schema([interactions.field(MOVIE_TITLE), *side]).remove_metadata()


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_list(column.type):
        return pc.binary_join(column.cast(pa.list_(pa.string())), "|")
    return column.cast(pa.string())


def _codes(column: pa.ChunkedArray) -> np.ndarray:
    """Equal numbers for equal strings, `int64[rows]`."""
    return np.asarray(pc.index_in(column, value_set=pc.unique(column)), np.int64)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays([pa.array([], column.type), *column.chunks])
