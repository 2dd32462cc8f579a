"""Files that the jobs read and write, through Beam's filesystems: local paths and gs:// alike."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems
from pyarrow import parquet

from model.cli import InputError

WILDCARDS = "*?["

_ERRORS = (BeamIOError, OSError, ValueError)
"""What a filesystem raises; of an address that no filesystem knows it is a ValueError."""


def is_local(path: str) -> bool:
    """Whether a path is on this machine's own filesystem."""
    return FileSystems.get_scheme(path) is None


def join(folder: str, *names: str) -> str:
    """A path below `folder`."""
    return FileSystems.join(folder, *names)


def match(pattern: str, flag: str) -> list[str]:
    """The files that match a glob, sorted; for a folder, its Parquet files.

    Raises:
      InputError: nothing matches; the message names `flag`.
    """
    # With a slash at its end Beam would take it for everything below.
    path = pattern.rstrip("/")
    patterns = [path] if any(character in path for character in WILDCARDS) else [path, f"{path}/*.parquet"]
    for candidate in patterns:
        found = list_files(candidate, flag)
        if found:
            return found
    raise InputError(f"{flag} {pattern}: no file matches; check the path, or write the files first")


def list_files(pattern: str, flag: str = "") -> list[str]:
    """The files that match a glob, sorted; none where nothing does."""
    try:
        (result,) = FileSystems.match([pattern])
    except _ERRORS as error:
        raise InputError(f"{flag} {pattern}: cannot be listed ({_reason(error)})".strip()) from None
    return sorted(metadata.path for metadata in result.metadata_list if not is_folder(metadata.path))


def is_folder(path: str) -> bool:
    """Whether a local path is a folder; object stores have none."""
    return is_local(path) and Path(path).is_dir()


def read_bytes(path: str, flag: str) -> bytes:
    """A whole file. Raises InputError, naming `flag`, where it cannot be read."""
    try:
        with _open(path) as file:
            return file.read()
    except _ERRORS as error:
        raise InputError(f"{flag} {path}: cannot be read ({_reason(error)})") from None


def read_footer(path: str, flag: str) -> tuple[pa.Schema, int]:
    """The schema and the number of rows of a Parquet file. Raises InputError where it is no Parquet file."""
    try:
        with _open(path) as file:
            footer = parquet.ParquetFile(file)
            return footer.schema_arrow.remove_metadata(), footer.metadata.num_rows
    except (*_ERRORS, pa.ArrowException) as error:
        raise InputError(f"{flag} {path}: cannot be read as Parquet ({_reason(error)}); write it again") from None


def check_schema(path: str, schema: pa.Schema, flag: str) -> int:
    """Check by a Parquet file's footer that it has the columns of `schema`, of types that can be cast to those.

    Returns:
      The number of rows.

    Raises:
      InputError: it is not Parquet, or lacks a column, or has one of another type.
    """
    found, rows = read_footer(path, flag)
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
    return rows


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
        with _open(path) as file:
            return parquet.read_table(file, columns=schema.names).select(schema.names).cast(schema)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{flag} {path}: damaged ({_reason(error)}); write it again") from None


def describe(pattern: str, flag: str = "") -> tuple[dict[str, Any], ...]:
    """`name`, `rows`, `bytes` and `checksum` of each Parquet file that matches, by name.

    Raises:
      InputError: a file cannot be read as Parquet.
    """
    described = []
    for path in list_files(pattern, flag):
        _, rows = read_footer(path, flag)
        size = FileSystems.match([path])[0].metadata_list[0].size_in_bytes
        described.append({"name": FileSystems.split(path)[1], "rows": rows, "bytes": size, "checksum": _checksum(path)})
    return tuple(described)


def write_table(table: pa.Table, path: str, row_group_size: int | None = None) -> None:
    """Write a Parquet file, and the folders above it."""
    make_folder(path.rpartition("/")[0])
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        parquet.write_table(table, file, row_group_size=row_group_size)


def write_json(document: Any, path: str) -> None:
    """Write a document as indented JSON."""
    make_folder(path.rpartition("/")[0])
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write((json.dumps(document, indent=2) + "\n").encode())


def read_json(path: str, flag: str) -> Any:
    """A JSON document. Raises InputError where there is none."""
    try:
        return json.loads(read_bytes(path, flag))
    except ValueError as error:
        raise InputError(f"{flag} {path}: not JSON ({_reason(error)})") from None


def make_folder(folder: str) -> None:
    """Make a local folder and those above it where they are missing; object stores need none."""
    if folder and is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


def check_writable(folder: str, flag: str) -> None:
    """Make a small file in `folder` and delete it. Raises InputError where that fails."""
    try:
        path = join(folder, f"_writable-{uuid.uuid4().hex}")
        make_folder(folder)
        with FileSystems.create(path) as file:
            file.write(b"")
        FileSystems.delete([path])
    except _ERRORS as error:
        raise InputError(f"{flag} {folder}: cannot be written ({_reason(error)}); name another folder") from None


def delete(paths: Iterable[str]) -> None:
    """Delete files and whole folders; what is not there does not matter."""
    for path in paths:
        # A folder of an object store is not there by itself, only what is below it.
        existing = [path] if FileSystems.exists(path) else []
        existing += [] if is_local(path) else list_files(f"{path.rstrip('/')}/**")
        if existing:
            FileSystems.delete(existing)


def delete_staged(staged: str) -> None:
    """Delete what a run wrote out of sight, and the folder of such runs where it is the last."""
    delete([staged])
    parent = FileSystems.split(staged.rstrip("/"))[0]
    if is_local(parent) and Path(parent).is_dir() and not any(Path(parent).iterdir()):
        Path(parent).rmdir()


def copy_folder(source: str, target: Path) -> None:
    """Copy every file below `source` into the local folder `target`. Raises InputError where that fails."""
    for path in list_files(f"{source.rstrip('/')}/**"):
        place = target / path.removeprefix(source.rstrip("/") + "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read_bytes(path, "--model"))


def _open(path: str) -> Any:
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def _checksum(path: str) -> str:
    """SHA-256 of a local file; an object store keeps checksums of its own, which takes no download."""
    if not is_local(path):
        return str(FileSystems.checksum(path))
    digest = hashlib.sha256()
    with _open(path) as file:
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


def _reason(error: Exception) -> str:
    """The first line of what went wrong."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
