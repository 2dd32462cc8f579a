"""Ways to set interactions aside, so that a model is measured on rows it was not trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.cli import InputError
from model.contract import TIMESTAMP, USER_ID
from model.data.interactions import SCHEMA, Interactions, row_hashes

NAMES = ("time", "cutoff", "random", "last_n", "given", "none")
CUTS = (0.6, 0.8)
"""Where validation and test begin: as shares of the range of timestamps for `time`, of the rows for `random`."""

TRAIN, VALIDATION, TEST = range(3)


@dataclass(frozen=True)
class Split:
    """Interactions in three parts, each in the order of the source; any part may be empty."""

    name: str
    train: pa.Table
    validation: pa.Table
    test: pa.Table
    settings: dict[str, Any] = field(default_factory=dict)
    """Whatever else decided the split, to be recorded with the model."""

    @property
    def parts(self) -> dict[str, pa.Table]:
        """The parts by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}

    def described(self) -> pa.Table:
        """The rows of all parts, train first, with every column that any of them has."""
        return pa.concat_tables(self.parts.values(), promote_options="default")

    def everything(self) -> pa.Table:
        """The rows of all parts, train first, the columns of `model.data.interactions.SCHEMA` alone."""
        return pa.concat_tables([part.select(SCHEMA.names) for part in self.parts.values()])


def split_interactions(
    table: pa.Table,
    name: str,
    *,
    seed: int = 0,
    last_n: int = 5,
    validation: Interactions | None = None,
    test: Interactions | None = None,
) -> Split:
    """Put every row of a table of interactions into exactly one part.

    Each split by `name`:

    - `time` cuts the range of timestamps at 60% and 80%, as the article does. A row at a cut is in the earlier part.
    - `cutoff` has the same test part as `time` and trains on everything before it, as a nightly model does. There is no
      validation part, so settings must be chosen elsewhere.
    - `random` draws 60%, 20% and 20% of the rows by `seed`. The order of the rows does not matter.
    - `last_n` sets each user's last rows aside as the test part. Of rows in the same second, the last in the table
      count as later. There is no validation part.
    - `given` takes `validation` and `test` as they are, and the table as the train part.
    - `none` puts everything into the train part.

    Args:
      table: interactions, at least one row.
      name: of the split.
      seed: for `random`.
      last_n: for `last_n`, how many rows of each user are set aside; at least 1.
      validation: for `given`.
      test: for `given`.

    Raises:
      InputError: there is no such split, `last_n` is less than 1, or there is neither `validation` nor `test` for
        `given`.
    """
    none = table.slice(0, 0)
    if name == "time":
        return _split_by(name, table, _part_by_time(table), {})
    if name == "cutoff":
        return _split_by(name, table, np.where(_part_by_time(table) == TEST, TEST, TRAIN), {})
    if name == "random":
        return _split_by(name, table, _part_at_random(table, seed), {"seed": seed})
    if name == "last_n":
        return _split_by(name, table, _part_by_last(table, last_n), {"last_n": last_n})
    if name == "none":
        return Split(name, table, none, none)
    if name == "given":
        if validation is None and test is None:
            raise InputError("given: needs interactions to validate on, to test on, or both")
        given = {"validation": validation, "test": test}
        settings = {part: {"dataset": found.source, "rejects": found.rejects} for part, found in given.items() if found}
        return Split(name, table, validation.table if validation else none, test.table if test else none, settings)
    raise InputError(f"{name}: no such split; give one of {', '.join(NAMES)}")


def _split_by(name: str, table: pa.Table, part: np.ndarray, settings: dict[str, Any]) -> Split:
    """`part` is `int[rows]`, of `TRAIN`, `VALIDATION` and `TEST`."""
    train, validation, test = (table.filter(pa.array(part == number)) for number in (TRAIN, VALIDATION, TEST))
    return Split(name, train, validation, test, settings)


def _part_by_time(table: pa.Table) -> np.ndarray:
    times = table[TIMESTAMP].to_numpy()
    first, last = times.min(), times.max()
    return np.searchsorted([first + share * (last - first) for share in CUTS], times, side="left")


def _part_at_random(table: pa.Table, seed: int) -> np.ndarray:
    # Rows are drawn by their content, so the order of the source does not matter.
    rank = np.empty(table.num_rows, np.int64)
    rank[np.argsort(row_hashes(table, salt=seed), kind="stable")] = np.arange(table.num_rows)
    return np.searchsorted([round(share * table.num_rows) for share in CUTS], rank, side="right")


def _part_by_last(table: pa.Table, last_n: int) -> np.ndarray:
    if last_n < 1:
        raise InputError(f"last_n: cannot set aside {last_n} rows of each user; give a whole number of at least 1")
    users = pc.index_in(table[USER_ID], value_set=pc.unique(table[USER_ID])).to_numpy()
    # The sort is stable: interactions in the same second keep the table's order.
    order = np.lexsort((table[TIMESTAMP].to_numpy(), users))
    ends = np.cumsum(np.bincount(users))[users[order]]
    part = np.full(table.num_rows, TRAIN)
    part[order[np.arange(table.num_rows) >= ends - last_n]] = TEST
    return part
