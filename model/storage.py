"""Files on the local disk and in Google Cloud Storage (gs://), through Arrow's filesystems."""

from __future__ import annotations

import os
import re
import textwrap
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from model.cli import InputError

GCS_SCHEME = "gs://"
EMULATOR_VARIABLE = "STORAGE_EMULATOR_HOST"
RETRY_LIMIT = timedelta(seconds=30)
"""Arrow's own limit is 15 minutes. That is too long to wait for an error about a mistyped bucket."""

_WILDCARDS = re.compile(r"[*?\[]")


def resolve(path: str) -> tuple[fs.FileSystem, str]:
    """The filesystem of `path`, and the path in that filesystem.

    `gs://bucket/name` is in Google Cloud Storage, or in the emulator that STORAGE_EMULATOR_HOST names. Anything else is
    on the local disk, where `~` is the home folder.
    """
    if path.startswith(GCS_SCHEME):
        return _gcs(os.environ.get(EMULATOR_VARIABLE, "")), path[len(GCS_SCHEME) :]
    return fs.LocalFileSystem(), expand_home(path)


def expand_home(path: str) -> str:
    """`path` with a leading `~` replaced by the home folder."""
    return str(Path(path).expanduser()) if path.startswith("~") else path


def expand(pattern: str) -> list[str]:
    """The files that match the glob `pattern`, sorted, with its scheme; an empty list if there are none.

    `*` and `?` match within one folder, `**/` matches any depth of folders, and `[..]` matches one of the characters.
    A pattern that is the name of an existing file matches that file alone, whatever characters it contains.
    """
    filesystem, path = resolve(pattern)
    scheme = GCS_SCHEME if pattern.startswith(GCS_SCHEME) else ""
    if _type(pattern) == fs.FileType.File:
        return [scheme + path]
    wildcard = _WILDCARDS.search(path)
    if not wildcard:
        return []
    folder, slash, _ = path[: wildcard.start()].rpartition("/")
    rest = path[len(folder) + len(slash) :]
    found = _list(filesystem, folder or (slash or "."), recursive="/" in rest)
    matches = _regex(path).fullmatch
    return sorted(scheme + name for name in found if matches(name))


def list_files(folder: str, suffixes: tuple[str, ...] = (), recursive: bool = True) -> list[str]:
    """The files in `folder` that end with one of the suffixes, or all files without suffixes; sorted, with its scheme.

    It skips files and folders whose names begin with `_` or `.`, which mark unfinished output.
    """
    filesystem, path = resolve(folder)
    scheme = GCS_SCHEME if folder.startswith(GCS_SCHEME) else ""
    base = path.rstrip("/")
    found = []
    for name in _list(filesystem, path, recursive):
        parts = name[len(base) :].strip("/").split("/")
        if not any(part.startswith(("_", ".")) for part in parts) and (not suffixes or name.endswith(suffixes)):
            found.append(scheme + name)
    return sorted(found)


def has_wildcards(path: str) -> bool:
    """Whether `path` is a glob for `expand`, not a name."""
    return bool(_WILDCARDS.search(path))


def exists(path: str) -> bool:
    """Whether there is a file or a folder at `path`."""
    return _type(path) != fs.FileType.NotFound


def is_folder(path: str) -> bool:
    """Whether there is a folder at `path`."""
    return _type(path) == fs.FileType.Directory


def open_input(path: str) -> pa.NativeFile:
    """Open the file at `path` for reading at any position.

    Raises:
      InputError: the file does not exist or cannot be read.
    """
    filesystem, name = resolve(path)
    try:
        return filesystem.open_input_file(name)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({first_line(error)}); check the path and who may read it") from None


def join(folder: str, name: str) -> str:
    """The path of `name` in `folder`."""
    return f"{folder.rstrip('/')}/{name}"


def first_line(error: Exception) -> str:
    """The first line of a library's error message, shortened to fit into a message of ours."""
    return textwrap.shorten((str(error).strip() or type(error).__name__).splitlines()[0], 200, placeholder=" ..")


@lru_cache(maxsize=4)
def _gcs(emulator: str) -> fs.FileSystem:
    if not emulator:
        return fs.GcsFileSystem(retry_time_limit=RETRY_LIMIT)
    address = urlsplit(emulator if "//" in emulator else f"//{emulator}", scheme="http")
    return fs.GcsFileSystem(
        anonymous=True, scheme=address.scheme, endpoint_override=address.netloc, retry_time_limit=RETRY_LIMIT
    )


def _type(path: str) -> fs.FileType:
    filesystem, name = resolve(path)
    try:
        return filesystem.get_file_info(name).type
    except OSError as error:
        raise InputError(f"{path}: cannot be reached ({first_line(error)}); check the path and the network") from None


def _list(filesystem: fs.FileSystem, folder: str, recursive: bool) -> list[str]:
    selector = fs.FileSelector(folder, allow_not_found=True, recursive=recursive)
    try:
        found = filesystem.get_file_info(selector)
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({first_line(error)}); check who may read it") from None
    return [_plain(info.path) for info in found if info.type == fs.FileType.File]


def _plain(path: str) -> str:
    """Remove the `./` that Arrow adds to files in the working folder."""
    return path[2:] if path.startswith("./") else path


def _regex(pattern: str) -> re.Pattern[str]:
    # Python's own glob.translate does the same from 3.13 on.
    translation = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|\[!?[^]]+\]|.", _plain(pattern))
    return re.compile(
        "".join(
            translation.get(token) or (token.replace("[!", "[^") if len(token) > 1 else re.escape(token))
            for token in tokens
        )
    )
