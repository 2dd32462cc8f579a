"""The footers of Parquet files: read once for each file, then checked as often as needed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa
from pyarrow import parquet

from beam_jobs.io.storage import FILE_ERRORS, open_file, reason
from model.cli import InputError

FILES_AT_ONCE = 8
"""Footers read in parallel: each one is a wait for a disk or a network."""


@dataclass(frozen=True)
class Footer:
    """What the footer of a Parquet file says."""

    path: str
    schema: pa.Schema
    """Without metadata."""
    group_rows: tuple[int, ...]
    """The rows of each row group."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The file's own key-value metadata."""

    @classmethod
    def of(cls, file: parquet.ParquetFile, path: str) -> Footer:
        """The footer of an open file."""
        rows = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        metadata = file.metadata.metadata or {}
        return cls(
            path,
            file.schema_arrow.remove_metadata(),
            tuple(rows),
            {key.decode(errors="replace"): value.decode(errors="replace") for key, value in metadata.items()},
        )

    @property
    def rows(self) -> int:
        """The rows of the whole file."""
        return sum(self.group_rows)

    def check_columns(self, schema: pa.Schema) -> None:
        """Check that the file has the columns of `schema`, of types that can be cast to those.

        Raises:
          InputError: a column is missing or has another type.
        """
        for wanted in schema:
            if wanted.name not in self.schema.names:
                has = ", ".join(self.schema.names) or "none"
                raise InputError(
                    f"{self.path}: no column {wanted.name!r} among its columns {has}; it must be {wanted.type}; "
                    "rename or add it"
                )
            kind = self.schema.field(wanted.name).type
            if not _can_be_cast(kind, wanted.type):
                raise InputError(f"{self.path}: column {wanted.name!r} is {kind}; it must be {wanted.type}; cast it")

    def check_exact_columns(self, schema: pa.Schema) -> None:
        """Check that the file has the columns of `schema`, of those types, in that order, and no others.

        Raises:
          InputError: it does not.
        """
        self.check_columns(schema)
        if not self.schema.equals(schema):
            raise InputError(f"{self.path}: has the columns {_columns(self.schema)} and not {_columns(schema)}")


def read_footer(path: str) -> Footer:
    """The footer of the Parquet file at `path`. Raises InputError where the file is not Parquet."""
    try:
        with open_file(path) as file:
            return Footer.of(parquet.ParquetFile(file), path)
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise not_parquet(path, error) from None


def read_footers(paths: Iterable[str]) -> list[Footer]:
    """The footers of several files, read in parallel, in the order of `paths`. Raises as `read_footer`."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(read_footer, paths))


def not_parquet(path: str, error: Exception) -> InputError:
    """The error for a file whose footer cannot be read."""
    return InputError(f"{path}: cannot be read as Parquet ({reason(error)}); write it again")


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{column.name}: {column.type}" for column in schema)


def _can_be_cast(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether the types are the same, or both are strings, or lists of them, however stored."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        return is_list and _can_be_cast(kind.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return kind == wanted
