"""Interactions: who rated what, how and when. Every stage starts from this table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.cli import InputError
from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID, USER_RATING

SCHEMA = pa.schema(
    [
        (USER_ID, pa.string()),
        (MOVIE_TITLE, pa.string()),
        (USER_RATING, pa.float32()),
        (TIMESTAMP, pa.int64()),
    ]
)
"""The columns that every table of interactions has; `timestamp` is seconds since 1970, UTC."""

SIDE_SCHEMA = pa.schema(
    [
        ("movie_id", pa.string()),
        ("movie_genres", pa.list_(pa.string())),
        ("raw_user_age", pa.float32()),
        ("bucketized_user_age", pa.float32()),
        ("user_gender", pa.bool_()),
        ("user_occupation_text", pa.string()),
        ("user_zip_code", pa.string()),
    ]
)
"""The side columns that MovieLens sources may have, named as in TensorFlow Datasets; gender true is male."""

NO_USER = "no user_id"
NO_TITLE = "no movie_title"
NO_RATING = "rating not finite"
NO_TIMESTAMP = "no timestamp"


class ColumnError(InputError):
    """A column is missing or of the wrong type; another one may be meant."""

    def __init__(self, message: str, column: str) -> None:
        """`column` is our name for it."""
        super().__init__(message, column)
        self.column = column

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Interactions:
    """The usable rows in the order of their source, and how many rows are not usable."""

    table: pa.Table
    """The columns of `SCHEMA` without nulls or empty strings, with finite ratings; then side columns."""
    source: str
    """The dataset as the user named it."""
    rejects: dict[str, int] = field(default_factory=dict)
    """The number of rows left out, by reason."""


def conform(table: pa.Table, columns: Mapping[str, str], where: str) -> tuple[pa.Table, dict[str, int]]:
    """Bring a table, or one batch of it, to `SCHEMA` and leave out the rows that cannot be used.

    Args:
      table: any columns. Titles are strings, ids strings or integers, ratings numbers, and timestamps seconds, Arrow
        timestamps or dates. Fractions of a second are dropped.
      columns: our names to the table's, for those that differ.
      where: the file or dataset, for messages.

    Returns:
      The usable rows in their order, the columns of `SCHEMA` first and all other columns after them; and the number of
      rows left out by reason. A row counts under the first reason that holds: no user_id, no movie_title, rating not
      finite, no timestamp.

    Raises:
      ColumnError: a column is missing or has the wrong type.
      InputError: a value cannot be read.
    """
    required = {name: _cast(table, name, columns.get(name, name), where) for name in SCHEMA.names}
    side = {ours: _column(table, ours, theirs, where) for ours, theirs in columns.items() if ours not in required}
    taken = {columns.get(name, name) for name in required} | set(columns.values())
    rest = {name: table[name] for name in table.column_names if name not in taken}
    made = pa.table(rest | side | required)
    made = made.select([*SCHEMA.names, *(name for name in made.column_names if name not in required)])
    unusable = _unusable(*required.values())
    rejects = _count_first(unusable)
    if rejects:
        made = made.filter(pa.array(~np.logical_or.reduce(list(unusable.values()))))
    return made, rejects


def add_rejects(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Add the counts of `more` to `total`."""
    for reason, rows in more.items():
        total[reason] = total.get(reason, 0) + rows


def describe(interactions: Interactions) -> str:
    """Lines to print: what was read, its first rows, and what was left out."""
    table = interactions.table
    ratings, times = (pc.min_max(table[name]).as_py() for name in (USER_RATING, TIMESTAMP))
    lines = [
        f"{interactions.source}: {table.num_rows:,} interactions, {pc.count_distinct(table[USER_ID]).as_py():,} users, "
        f"{pc.count_distinct(table[MOVIE_TITLE]).as_py():,} titles",
        f"  ratings {ratings['min']:g} to {ratings['max']:g}, {_day(times['min'])} to {_day(times['max'])}",
        f"  {'user_id':<12} {'movie_title':<40} {'user_rating':>11} {'timestamp':>12}",
    ]
    for row in table.slice(0, 3).select(SCHEMA.names).to_pylist():
        lines.append(f"  {row[USER_ID]:<12.12} {row[MOVIE_TITLE]:<40.40} {row[USER_RATING]:>11g} {row[TIMESTAMP]:>12}")
    lines += [f"  left out: {rows:,} rows with {reason}" for reason, rows in interactions.rejects.items()]
    return "\n".join(lines)


def digest(table: pa.Table) -> str:
    """A name for exactly these interactions in any order: 64 hexadecimal digits.

    It is the SHA-256 of the number of rows and of the sums, modulo 2**64, of two hashes of each row's four columns. A
    sum does not depend on the order, and needs no sort of millions of rows.
    """
    total = hashlib.sha256(table.num_rows.to_bytes(8, "little"))
    for salt in (0, 1):
        total.update(row_hashes(table, salt).sum(dtype=np.uint64).tobytes())
    return total.hexdigest()


def row_hashes(table: pa.Table, salt: int = 0) -> np.ndarray:
    """`uint64[rows]`: a hash of each row's four columns. Equal rows have equal hashes on every machine."""
    hashes = np.full(table.num_rows, salt, np.uint64)
    for name in (USER_ID, MOVIE_TITLE):
        hashes = _mix(hashes + _word_hashes(table[name]))
    hashes = _mix(hashes + table[USER_RATING].to_numpy().view(np.uint32))
    return _mix(hashes + table[TIMESTAMP].to_numpy().view(np.uint64))


def _word_hashes(column: pa.ChunkedArray) -> np.ndarray:
    words = pc.unique(column)
    digests = b"".join(hashlib.sha256(word.as_buffer()).digest()[:8] for word in words)
    codes = pc.index_in(column, value_set=words).to_numpy()
    return np.frombuffer(digests, "<u8")[codes]


def _mix(hashes: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64, in place: every input bit changes half of the output bits."""
    hashes += np.uint64(0x9E3779B97F4A7C15)
    hashes ^= hashes >> np.uint64(30)
    hashes *= np.uint64(0xBF58476D1CE4E5B9)
    hashes ^= hashes >> np.uint64(27)
    hashes *= np.uint64(0x94D049BB133111EB)
    hashes ^= hashes >> np.uint64(31)
    return hashes


def _cast(table: pa.Table, ours: str, theirs: str, where: str) -> pa.ChunkedArray:
    column, target = _column(table, ours, theirs, where), SCHEMA.field(ours).type
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    try:
        if _fits(ours, kind):
            if ours == TIMESTAMP:
                return _seconds(column.cast(kind))
            return column.cast(kind).cast(target, safe=ours != USER_RATING)
    except pa.ArrowInvalid as error:
        raise InputError(f"{where}: column {theirs!r} cannot be read as {ours}: {error}; write it again") from None
    raise ColumnError(
        f"{where}: column {theirs!r} is {kind}, but {ours} must be {_WANTED[ours]}; convert it, or name another column",
        ours,
    )


def _column(table: pa.Table, ours: str, theirs: str, where: str) -> pa.ChunkedArray:
    count = table.column_names.count(theirs)
    if count != 1:
        what = "more than one column" if count else "no column"
        raise ColumnError(
            f"{where}: has {what} {theirs!r}, only {', '.join(table.column_names)}; name the column of {ours}", ours
        )
    return table[theirs]


_WANTED = {
    USER_ID: "a string or a whole number",
    MOVIE_TITLE: "a string",
    USER_RATING: "a number",
    TIMESTAMP: "seconds since 1970 or a date and time",
}


def _fits(ours: str, kind: pa.DataType) -> bool:
    if pa.types.is_null(kind):
        return True
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if ours == TIMESTAMP:
        return number or pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if ours == USER_RATING:
        return number or pa.types.is_decimal(kind)
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return text or pa.types.is_binary(kind) or (ours == USER_ID and pa.types.is_integer(kind))


def _seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_floating(kind):
        finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind))
        return pc.floor(finite).cast(pa.int64())
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        # With `safe` Arrow would refuse fractions of a second.
        column = column.cast(pa.timestamp("s", getattr(kind, "tz", None)), safe=False)
    return column.cast(pa.int64())


def _unusable(
    user: pa.ChunkedArray, title: pa.ChunkedArray, rating: pa.ChunkedArray, time: pa.ChunkedArray
) -> dict[str, np.ndarray]:
    """Which rows each reason holds for, `bool[rows]`."""
    return {
        NO_USER: ~_flags(pc.not_equal(user, "")),
        NO_TITLE: ~_flags(pc.not_equal(title, "")),
        NO_RATING: ~_flags(pc.is_finite(rating)),
        NO_TIMESTAMP: ~_flags(pc.is_valid(time)),
    }


def _flags(column: pa.ChunkedArray) -> np.ndarray:
    return pc.fill_null(column, False).to_numpy()


def _count_first(unusable: Mapping[str, np.ndarray]) -> dict[str, int]:
    counts, counted = {}, np.zeros(len(next(iter(unusable.values()))), bool)
    for reason, flags in unusable.items():
        if rows := int((flags & ~counted).sum()):
            counts[reason] = rows
        counted |= flags
    return counts


def _day(seconds: int) -> str:
    return str(np.datetime64(seconds, "s").astype("datetime64[D]"))
