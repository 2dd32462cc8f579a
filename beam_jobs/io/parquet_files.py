"""The jobs' tables as Parquet files, on local paths and gs:// alike."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from pyarrow import parquet

from beam_jobs.io.footer import FILES_AT_ONCE, Footer, not_parquet
from beam_jobs.io.storage import FILE_ERRORS, is_local, join, make_folder, open_file, reason
from model.cli import InputError

FileDescription: TypeAlias = dict[str, Any]
"""`name`, `rows`, `bytes` and `checksum` of a file: plain values, so that a report in JSON holds it as it is."""

VALUES_AT_ONCE = 1 << 16
"""Values that a column's encoder takes at a time. With Arrow's default of 1,024, writing takes a tenth longer."""


def read_table(path: str, schema: pa.Schema) -> pa.Table:
    """The columns of `schema` of a Parquet file, cast to it.

    Raises:
      InputError: the file is not Parquet, is damaged, or lacks a column, or a column has another type.
    """
    try:
        file = open_file(path)
    except FILE_ERRORS as error:
        raise not_parquet(path, error) from None
    try:
        with file:
            content = _open_parquet(file, path)
            Footer.of(content, path).check_columns(schema)
            return content.read(schema.names).select(schema.names).cast(schema)
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _open_parquet(file: Any, path: str) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(file)
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise not_parquet(path, error) from None


def read_batches(
    path: str, schema: pa.Schema, size: int, row_groups: Iterable[int] | None = None, repeated: Sequence[str] = ()
) -> Iterator[pa.Table]:
    """Read row groups of a Parquet file, at most `size` rows at a time.

    Small row groups are read together, so a table has close to `size` rows where the row groups allow it.

    Args:
      path: the file.
      schema: the columns to read; they keep the types that the file has.
      size: rows of a table at most. The same file and size always give the same tables.
      row_groups: numbers of the row groups; None means all.
      repeated: columns of strings, or of lists of strings, whose values repeat. They come as dictionaries, as the file
        stores them.

    Raises:
      InputError: the file cannot be read.
    """
    try:
        with open_file(path) as file:
            metadata = parquet.read_metadata(file)
            content = parquet.ParquetFile(file, metadata=metadata, read_dictionary=_string_paths(metadata, repeated))
            groups = range(metadata.num_row_groups) if row_groups is None else row_groups
            # One row group at a time, because Arrow cannot read lists of dictionaries across row groups.
            batches = (batch for group in groups for batch in content.iter_batches(size, [group], schema.names))
            yield from _gather(batches, size)
    except (*FILE_ERRORS, pa.ArrowException) as error:
        raise _damaged(path, error) from None


def _string_paths(metadata: parquet.FileMetaData, columns: Sequence[str]) -> list[str]:
    """The paths of the string values inside `columns`."""
    if not metadata.num_row_groups:
        return []
    # Taken from a row group and not from `metadata.schema`: that object and its owner hold each other, so a long
    # footer would stay in memory for each part of its file.
    group = metadata.row_group(0)
    leaves = [group.column(number) for number in range(group.num_columns)]
    return [
        leaf.path_in_schema
        for leaf in leaves
        if leaf.physical_type == "BYTE_ARRAY" and leaf.path_in_schema.split(".")[0] in columns
    ]


def _gather(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    """Consecutive batches in one table as long as they have at most `size` rows together."""
    some: list[pa.RecordBatch] = []
    for batch in batches:
        if some and sum(map(len, some)) + len(batch) > size:
            yield pa.Table.from_batches(some)
            some = []
        some.append(batch)
    if some:
        yield pa.Table.from_batches(some)


def describe(footers: Sequence[Footer]) -> tuple[FileDescription, ...]:
    """A description of each file, in the order of `footers`; the files are measured in parallel."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return tuple(pool.map(lambda footer: _describe(footer.path, footer.rows), footers))


def write_table(table: pa.Table, path: str, row_group_size: int | None = None) -> None:
    """Write a Parquet file, and make the folders above it."""
    make_folder(path.rpartition("/")[0])
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        parquet.write_table(table, file, row_group_size=row_group_size)


def write_tables(
    tables: Iterable[pa.Table], schema: pa.Schema, path: str, attempts: str, searched: Sequence[str]
) -> FileDescription:
    """Write tables as one Parquet file, a row group each. The file appears complete or not at all.

    Two workers may write the same file at once, when the runner has given one of them up for lost. So each writes
    under a unique name in the folder `attempts`, on the same filesystem, and renames its file in the end.

    Args:
      tables: tables of `schema`.
      schema: its string columns may be dictionaries, which go into the file as they are. A reader finds strings.
      path: the file.
      attempts: the folder for unfinished files.
      searched: columns for which the file holds minima and maxima, so that readers can skip row groups.

    Returns:
      The description of the file.
    """
    # Floating-point values hardly repeat. Looking for repeats would double the time and add a third to the bytes.
    repeating = [field.name for field in schema if not pa.types.is_floating(field.type)]
    attempt = join(attempts, uuid.uuid4().hex)
    for folder in (attempts, path.rpartition("/")[0]):
        make_folder(folder)
    rows = 0
    with (
        FileSystems.create(attempt, compression_type=CompressionTypes.UNCOMPRESSED) as file,
        parquet.ParquetWriter(
            file,
            schema,
            compression="snappy",
            # Arrow's copy of the schema would give readers dictionaries in place of strings.
            store_schema=False,
            use_dictionary=repeating,
            write_statistics=searched,
            write_batch_size=VALUES_AT_ONCE,
        ) as writer,
    ):
        for table in tables:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            rows += table.num_rows
    FileSystems.rename([attempt], [path])
    return _describe(path, rows)


def _describe(path: str, rows: int) -> FileDescription:
    size = FileSystems.match([path])[0].metadata_list[0].size_in_bytes
    return {"name": FileSystems.split(path)[1], "rows": rows, "bytes": size, "checksum": _checksum(path)}


def _checksum(path: str) -> str:
    """The SHA-256 of a local file. An object store keeps checksums of its own, so nothing is downloaded."""
    if not is_local(path):
        return str(FileSystems.checksum(path))
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _damaged(path: str, error: Exception) -> InputError:
    return InputError(f"{path}: damaged ({reason(error)}); write it again")
