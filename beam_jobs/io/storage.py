"""Files on local paths and gs:// alike, through Beam's filesystems."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata
from apache_beam.io.filesystems import FileSystems

from model.cli import InputError

WILDCARDS = "*?["

try:
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
except ImportError:  # The extra `gcp`, and so gs://, is not installed.
    _CLOUD_ERRORS: tuple[type[Exception], ...] = ()
else:
    _CLOUD_ERRORS = (GoogleAPICallError, GoogleAuthError, InvalidResponse, DataCorruption)

FILE_ERRORS = (BeamIOError, OSError, ValueError, *_CLOUD_ERRORS)
"""What a filesystem raises; ValueError for an address of no known filesystem. Beam passes on errors that a gs:// object
raises while it is opened or closed."""


def is_local(path: str) -> bool:
    """Whether a path is on this machine's own filesystem."""
    return FileSystems.get_scheme(path) is None


def join(folder: str, *names: str) -> str:
    """A path below `folder`."""
    return FileSystems.join(folder, *names)


def match(pattern: str) -> list[str]:
    """The files that match a glob, sorted; for a folder, its Parquet files.

    Raises:
      InputError: nothing matches.
    """
    # Beam would take a path that ends with a slash for everything below it.
    path = pattern.rstrip("/")
    patterns = [path] if any(character in path for character in WILDCARDS) else [path, f"{path}/*.parquet"]
    for candidate in patterns:
        found = list_files(candidate)
        if found:
            return found
    raise InputError(f"{pattern}: no file matches; check the path, or write the files first")


def list_files(pattern: str) -> list[str]:
    """The files that match a glob, sorted; empty where nothing matches."""
    return sorted(found.path for found in _match(pattern, pattern) if not is_folder(found.path))


def size_below(folder: str, left_out: str) -> int:
    """The bytes of all files below `folder`, except those in its subfolder `left_out`.

    Raises:
      InputError: there are no files.
    """
    found = _match(f"{folder.rstrip('/')}/**", folder)
    if not found:
        raise InputError(f"{folder}: no file is there; check the path")
    apart = join(folder, left_out, "")
    return sum(metadata.size_in_bytes for metadata in found if not metadata.path.startswith(apart))


def _match(pattern: str, named: str) -> list[FileMetadata]:
    """What Beam finds for a glob; `named` is the path to name in an error."""
    try:
        (result,) = FileSystems.match([pattern])
    except FILE_ERRORS as error:
        raise InputError(f"{named}: cannot be listed ({reason(error)}); check who may read it") from None
    return result.metadata_list


def is_folder(path: str) -> bool:
    """Whether a local path is a folder. Object stores have none."""
    return is_local(path) and Path(path).is_dir()


def exists(path: str) -> bool:
    """Whether there is a file, or a local folder, at `path`."""
    return FileSystems.exists(path)


def read_bytes(path: str) -> bytes:
    """The whole content of a file. Raises InputError where it cannot be read."""
    try:
        with open_file(path) as file:
            return file.read()
    except FILE_ERRORS as error:
        raise InputError(f"{path}: cannot be read ({reason(error)})") from None


def write_json(document: Any, path: str) -> None:
    """Write a document as indented JSON."""
    make_folder(path.rpartition("/")[0])
    with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write((json.dumps(document, indent=2) + "\n").encode())


def read_json(path: str) -> Any:
    """A JSON document. Raises InputError where there is none."""
    try:
        return json.loads(read_bytes(path))
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({reason(error)})") from None


def make_folder(folder: str) -> None:
    """Make a local folder and the missing ones above it. Object stores need none."""
    if folder and is_local(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)


def check_writable(folder: str) -> None:
    """Make an empty file in `folder` and delete it. Raises InputError where that fails."""
    try:
        path = join(folder, f"_writable-{uuid.uuid4().hex}")
        make_folder(folder)
        with FileSystems.create(path) as file:
            file.write(b"")
        FileSystems.delete([path])
    except FILE_ERRORS as error:
        raise InputError(f"{folder}: cannot be written ({reason(error)}); name another folder") from None


def delete(paths: Iterable[str]) -> None:
    """Delete files and whole folders. A path with nothing there is skipped."""
    for path in paths:
        # An object store has no folders, only the objects below them.
        existing = [path] if FileSystems.exists(path) else []
        existing += [] if is_local(path) else list_files(f"{path.rstrip('/')}/**")
        if existing:
            FileSystems.delete(existing)


def delete_staged(staged: str) -> None:
    """Delete the staging folder of a run, and the folder above it where that is empty then."""
    delete([staged])
    parent = FileSystems.split(staged.rstrip("/"))[0]
    if is_local(parent) and Path(parent).is_dir() and not any(Path(parent).iterdir()):
        Path(parent).rmdir()


def copy_folder(source: str, target: Path, left_out: str) -> None:
    """Copy every file below `source` into the local folder `target`, except those in its subfolder `left_out`.

    Raises:
      InputError: a file cannot be read.
    """
    for path in list_files(f"{source.rstrip('/')}/**"):
        if path.startswith(join(source, left_out, "")):
            continue
        place = target / path.removeprefix(source.rstrip("/") + "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read_bytes(path))


def open_file(path: str) -> Any:
    """A file opened for reading its bytes, without decompression."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def reason(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
