"""Interactions in Parquet and CSV files, whatever the names of their columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
from pyarrow import csv, parquet

from model import storage
from model.cli import InputError
from model.contract import MOVIE_TITLE, USER_ID, USER_RATING
from model.data.interactions import SCHEMA, SIDE_SCHEMA, add_rejects, conform
from model.storage import first_line

PARQUET_SUFFIXES = (".parquet", ".pq")
CSV_SUFFIXES = (".csv", ".csv.gz")
PARQUET_MAGIC = b"PAR1"
BATCH_ROWS = 1 << 17


def find_files(dataset: str) -> list[str]:
    """The files of a path, a glob or a folder, sorted. Of a folder, its Parquet files, or its CSV files if it has none.

    Raises:
      InputError: the glob matches nothing, or the folder holds neither.
    """
    if not storage.is_folder(dataset):
        files = storage.expand(dataset)
        if not files:
            raise InputError(f"{dataset}: no such file, and no file matches it; check the path")
        return files
    files = storage.list_files(dataset, PARQUET_SUFFIXES) or storage.list_files(dataset, CSV_SUFFIXES)
    if not files:
        raise InputError(
            f"{dataset}: the folder holds no MovieLens dataset (u.data, ratings.dat or ratings.csv among its "
            "files), no .parquet and no .csv; name another folder or a file"
        )
    return files


def is_parquet(path: str) -> bool:
    """Whether the file is Parquet: by its suffix, or without a known suffix by its first bytes."""
    if path.endswith(PARQUET_SUFFIXES + CSV_SUFFIXES):
        return path.endswith(PARQUET_SUFFIXES)
    with storage.open_input(path) as file:
        return file.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC


def read_files(paths: list[str], columns: Mapping[str, str]) -> tuple[pa.Table, dict[str, int]]:
    """The usable rows of all files in their order, and the number of rows left out by reason.

    Files are read a batch at a time, so that what is left out takes no memory.

    Args:
      paths: at least one file.
      columns: our names to those in the files, where they differ.

    Raises:
      InputError: a file cannot be read, lacks a column, or has other columns than the first file.
    """
    tables: list[pa.Table] = []
    rejects: dict[str, int] = {}
    for path in paths:
        for batch in _read_parquet(path) if is_parquet(path) else _read_csv(path, columns):
            table, left_out = conform(batch, columns, path)
            add_rejects(rejects, left_out)
            if tables:
                table = _like(table, tables[0].schema, path, paths[0])
            tables.append(table)
    return pa.concat_tables(tables), rejects


def _read_parquet(path: str) -> Iterator[pa.Table]:
    with storage.open_input(path) as file:
        _check_not_empty(file, path)
        try:
            # Reading ahead would hold the whole file in memory beside the table.
            content = parquet.ParquetFile(file, pre_buffer=False)
            yield content.schema_arrow.empty_table()
            for batch in content.iter_batches(BATCH_ROWS):
                yield pa.Table.from_batches([batch])
        except (OSError, ValueError, NotImplementedError) as error:
            raise InputError(
                f"{path}: cannot be read as Parquet ({first_line(error)}); write it again, or name a CSV file .csv"
            ) from None


def _read_csv(path: str, columns: Mapping[str, str]) -> Iterator[pa.Table]:
    # Arrow must not guess these types: an id such as 007 is not a number, and a wrong rating is reported with its row.
    given = {USER_ID: pa.string(), MOVIE_TITLE: pa.string(), USER_RATING: pa.float32()}
    texts = {field.name: field.type for field in SIDE_SCHEMA if pa.types.is_string(field.type)}
    kinds = {columns.get(name, name): kind for name, kind in (texts | given).items()}
    try:
        yield _parse_csv(path, kinds, use_threads=True)
    except (OSError, ValueError):
        # Only a single thread knows the number of the row at which it fails.
        try:
            yield _parse_csv(path, kinds, use_threads=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read as CSV with a header ({first_line(error)}); mend it, or give Parquet"
            ) from None


def _parse_csv(path: str, kinds: Mapping[str, pa.DataType], use_threads: bool) -> pa.Table:
    with storage.open_input(path) as file:
        _check_not_empty(file, path)
        return csv.read_csv(
            pa.CompressedInputStream(file, "gzip") if path.endswith(".gz") else file,
            csv.ReadOptions(use_threads=use_threads),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(column_types=kinds),
        )


def _check_not_empty(file: pa.NativeFile, path: str) -> None:
    if not file.size():
        raise InputError(f"{path}: is empty (0 bytes); write it again or leave it out")


def _like(table: pa.Table, schema: pa.Schema, path: str, first: str) -> pa.Table:
    """`table` with its columns in the order of `schema`. Raises InputError where they are not the same columns."""
    for name in schema.names:
        if name not in table.column_names:
            raise InputError(f"{path}: has no column {name!r}, which {first} has; give files with equal columns")
    for field in table.schema:
        if field.name not in schema.names:
            raise InputError(f"{path}: has a column {field.name!r} that {first} lacks; give files with equal columns")
        wanted = schema.field(field.name).type
        if field.type != wanted:
            raise InputError(
                f"{path}: column {field.name!r} is {field.type}, but {wanted} in {first}; give files of one type"
            )
    return table.select(schema.names).replace_schema_metadata(schema.metadata).cast(schema)


def parse_columns(text: str) -> dict[str, str]:
    """Read `user_id=a,movie_title=b` as a mapping of our names to those in the files.

    Raises:
      InputError: the text has another form, or a name is unknown.
    """
    ours_known = [*SCHEMA.names, *SIDE_SCHEMA.names]
    columns: dict[str, str] = {}
    for pair in text.split(",") if text.strip() else []:
        ours, _, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and theirs):
            raise InputError(f"{text}: {pair!r} is not OURS=THEIRS; write user_id=uid,movie_title=film")
        if ours not in ours_known:
            raise InputError(f"{text}: {ours!r} is not a name of ours; these are {', '.join(ours_known)}")
        if ours in columns:
            raise InputError(f"{text}: {ours!r} comes twice; leave one out")
        columns[ours] = theirs
    return columns
