"""Files that the jobs read and write, through Beam's filesystems: local paths and gs:// alike."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

from model.cli import InputError

WILDCARDS = "*?["

try:
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
except ImportError:  # without the extra `gcp`, and so without gs://
    _CLOUD_ERRORS: tuple[type[Exception], ...] = ()
else:
    _CLOUD_ERRORS = (GoogleAPICallError, GoogleAuthError, InvalidResponse, DataCorruption)

FILE_ERRORS = (BeamIOError, OSError, ValueError, *_CLOUD_ERRORS)
"""What a filesystem raises; of an address that no filesystem knows it is a ValueError. Beam lets what a gs:// object
raises when it is opened or closed through as it is."""


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
    except FILE_ERRORS as error:
        raise InputError(f"{flag} {pattern}: cannot be listed ({reason(error)})".strip()) from None
    return sorted(metadata.path for metadata in result.metadata_list if not is_folder(metadata.path))


def size_below(folder: str, flag: str, left_out: str) -> int:
    """Bytes of all files below a folder but those in its folder `left_out`.

    Raises:
      InputError: there are none; the message names `flag`.
    """
    pattern = f"{folder.rstrip('/')}/**"
    try:
        (result,) = FileSystems.match([pattern])
    except FILE_ERRORS as error:
        raise InputError(f"{flag} {folder}: cannot be listed ({reason(error)})") from None
    if not result.metadata_list:
        raise InputError(f"{flag} {folder}: no file is there; check the path")
    apart = join(folder, left_out, "")
    return sum(found.size_in_bytes for found in result.metadata_list if not found.path.startswith(apart))


def is_folder(path: str) -> bool:
    """Whether a local path is a folder; object stores have none."""
    return is_local(path) and Path(path).is_dir()


def read_bytes(path: str, flag: str) -> bytes:
    """A whole file. Raises InputError, naming `flag`, where it cannot be read."""
    try:
        with open_file(path) as file:
            return file.read()
    except FILE_ERRORS as error:
        raise InputError(f"{flag} {path}: cannot be read ({reason(error)})") from None


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
        raise InputError(f"{flag} {path}: not JSON ({reason(error)})") from None


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
    except FILE_ERRORS as error:
        raise InputError(f"{flag} {folder}: cannot be written ({reason(error)}); name another folder") from None


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


def copy_folder(source: str, target: Path, left_out: str) -> None:
    """Copy every file below `source` but those in its folder `left_out` into the local folder `target`.

    Raises:
      InputError: that fails.
    """
    for path in list_files(f"{source.rstrip('/')}/**"):
        if path.startswith(join(source, left_out, "")):
            continue
        place = target / path.removeprefix(source.rstrip("/") + "/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(read_bytes(path, "--model"))


def open_file(path: str) -> Any:
    """A file, open for reading its bytes as they are."""
    return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def reason(error: Exception) -> str:
    """The first line of what went wrong."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
