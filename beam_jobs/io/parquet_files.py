"""The jobs' tables as Parquet files, on local paths and gs:// alike."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from pyarrow import parquet

from beam_jobs.io.storage import FILE_ERRORS, is_local, join, list_files, make_folder, open_file, reason
from model.cli import InputError

VALUES_AT_ONCE = 1 << 16
"""That a column's encoder takes; Arrow's own 1,024 cost a tenth more time."""

DESCRIBED_AT_ONCE = 8
"""Files, as each is waited for: a local one read, a remote one asked about."""


def read_footer(path: str, flag: str) -> tuple[pa.Schema, list[int]]:
    """The schema and the rows of each row group of a Parquet file. Raises InputError where it is no Parquet file."""
    try:
        with open_file(path) as file:
            footer = parquet.ParquetFile(file)
            groups = [footer.metadata.row_group(number).num_rows for number in range(footer.metadata.num_row_groups)]
            return footer.schema_arrow.remove_metadata(), groups
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise InputError(f"{flag} {path}: cannot be read as Parquet ({reason(error)}); write it again") from None


def read_metadata(path: str, flag: str) -> dict[str, str]:
    """What a Parquet file's own metadata says, by key. Raises InputError where it is no Parquet file."""
    try:
        with open_file(path) as file:
            metadata = parquet.read_metadata(file).metadata or {}
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise InputError(f"{flag} {path}: cannot be read as Parquet ({reason(error)}); write it again") from None
    return {key.decode(): value.decode(errors="replace") for key, value in metadata.items()}


def check_schema(path: str, schema: pa.Schema, flag: str) -> list[int]:
    """Check by a Parquet file's footer that it has the columns of `schema`, of types that can be cast to those.

    Returns:
      The rows of each row group.

    Raises:
      InputError: it is not Parquet, or lacks a column, or has one of another type.
    """
    found, groups = read_footer(path, flag)
    for field in schema:
        if field.name not in found.names:
            has = ", ".join(found.names) or "none"
            raise InputError(
                f"{flag} {path}: no column {field.name!r} among its columns {has}; it must be {field.type}; "
                "rename or add it"
            )
        kind = found.field(field.name).type
        if not _is_like(kind, field.type):
            raise InputError(f"{flag} {path}: column {field.name!r} is {kind}; it must be {field.type}; cast it")
    return groups


def check_exact_schema(path: str, schema: pa.Schema, flag: str) -> None:
    """Check that a Parquet file has the columns of `schema`, those types, that order and no others.

    Raises:
      InputError: it has not.
    """
    check_schema(path, schema, flag)
    found, _ = read_footer(path, flag)
    if not found.equals(schema):
        raise InputError(f"{flag} {path}: has the columns {_columns(found)} and not {_columns(schema)}")


def read_table(path: str, schema: pa.Schema, flag: str) -> pa.Table:
    """The columns of `schema` of a Parquet file, cast to it. Raises InputError as `check_schema`."""
    check_schema(path, schema, flag)
    try:
        with open_file(path) as file:
            return parquet.read_table(file, columns=schema.names).select(schema.names).cast(schema)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{flag} {path}: damaged ({reason(error)}); write it again") from None


def read_batches(
    path: str, schema: pa.Schema, flag: str, size: int, row_groups: Iterable[int], repeated: Sequence[str]
) -> Iterator[pa.Table]:
    """Some row groups of a Parquet file, at most `size` rows at a time, and not much fewer if row groups are not.

    Args:
      path: of the file.
      schema: whose columns are read, of the types that they have.
      flag: for messages.
      size: rows of a table at most; the same file and size give the same tables.
      row_groups: their numbers.
      repeated: columns of strings, or of lists of them, that repeat: they come as dictionaries, as a file has them.

    Raises:
      InputError: they cannot be read.
    """
    try:
        with open_file(path) as file:
            metadata = parquet.read_metadata(file)
            content = parquet.ParquetFile(file, metadata=metadata, read_dictionary=_strings_of(metadata, repeated))
            # A row group at a time, as Arrow reads no lists of dictionaries across them.
            batches = (batch for group in row_groups for batch in content.iter_batches(size, [group], schema.names))
            yield from _gathered(batches, size)
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise InputError(f"{flag} {path}: damaged ({reason(error)}); write it again") from None


def _strings_of(metadata: parquet.FileMetaData, columns: Sequence[str]) -> list[str]:
    """The paths of those leaves of some columns that are strings."""
    if not metadata.num_row_groups:
        return []
    # Of a row group's columns. `metadata.schema` and its owner hold each other, so that a long footer would stay in
    # memory for each part of its file.
    group = metadata.row_group(0)
    leaves = [group.column(number) for number in range(group.num_columns)]
    return [
        leaf.path_in_schema
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY" and leaf.path_in_schema.split(".")[0] in columns
    ]


def _gathered(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Consecutive batches together, as many as have `size` rows at most."""
    some: list[pa.RecordBatch] = []
    for batch in batches:
        if some and sum(map(len, some)) + len(batch) > size:
            yield pa.Table.from_batches(some)
            some = []
        some.append(batch)
    if some:
        yield pa.Table.from_batches(some)


def describe(pattern: str, flag: str = "") -> tuple[dict[str, Any], ...]:
    """`name`, `rows`, `bytes` and `checksum` of each Parquet file that matches, by name.

    Raises:
      InputError: a file cannot be read as Parquet.
    """
    with ThreadPoolExecutor(DESCRIBED_AT_ONCE) as pool:
        return tuple(pool.map(lambda path: _describe(path, flag), list_files(pattern, flag)))


def write_table(table: pa.Table, path: str, row_group_size: int | None = None) -> None:
    """Write a Parquet file, and the folders above it."""
    make_folder(path.rpartition("/")[0])
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        parquet.write_table(table, file, row_group_size=row_group_size)


def write_tables(
    tables: Iterable[pa.Table], schema: pa.Schema, path: str, attempts: str, searched: Sequence[str]
) -> dict[str, Any]:
    """Write tables, a row group each, as one Parquet file that is there complete or not at all.

    Two workers may write the same file at once, one of them given up for lost: each writes under a name of its own in
    the folder `attempts`, on the same filesystem, and gives the file its name in the end.

    Columns of strings may be dictionaries, which go into the file as they are; a reader finds strings. Of the columns
    `searched` the file has least and greatest values, by which readers skip row groups.

    Returns:
      What `describe` says of the file.
    """
    # Numbers of many values do not repeat; looking for it takes half of the time and a third more bytes.
    repeating = [field.name for field in schema if not pa.types.is_floating(field.type)]
    attempt = join(attempts, uuid.uuid4().hex)
    for folder in (attempts, path.rpartition("/")[0]):
        make_folder(folder)
    with (
        FileSystems.create(attempt, compression_type=CompressionTypes.UNCOMPRESSED) as file,
        parquet.ParquetWriter(
            file,
            schema,
            compression="snappy",
            # Not a second time as Arrow has it: with its dictionaries, readers would get those.
            store_schema=False,
            use_dictionary=repeating,
            write_statistics=searched,
            write_batch_size=VALUES_AT_ONCE,
        ) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
    FileSystems.rename([attempt], [path])
    return _describe(path, "")


def _describe(path: str, flag: str) -> dict[str, Any]:
    _, groups = read_footer(path, flag)
    size = FileSystems.match([path])[0].metadata_list[0].size_in_bytes
    return {"name": FileSystems.split(path)[1], "rows": sum(groups), "bytes": size, "checksum": _checksum(path)}


def _checksum(path: str) -> str:
    """SHA-256 of a local file; an object store keeps checksums of its own, which takes no download."""
    if not is_local(path):
        return str(FileSystems.checksum(path))
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _columns(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name}: {field.type}" for field in schema)


def _is_like(kind: pa.DataType, wanted: pa.DataType) -> bool:
    """Whether values of a type can be taken for another: strings however stored, lists of them, or the same type."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_list(wanted):
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        return is_list and _is_like(kind.value_type, wanted.value_type)
    if pa.types.is_string(wanted):
        return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return kind == wanted
