"""An object store in memory, `memory://`, for Beam. It has no folders, no renaming, and only whole objects."""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

SCHEME = "memory"


class ObjectStore(FileSystem):
    """All instances share one store, because Beam makes new instances. Beam finds the class among the subclasses."""

    objects: ClassVar[dict[str, bytes]] = {}
    fail_on: ClassVar[str | None] = None
    """Fail on any `write ADDRESS` or `delete ADDRESS` that contains this text."""
    opened: ClassVar[list[str]] = []
    """The address of every object that was opened for reading, once for each time."""
    _lock: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def upload(cls, folder: Path, address: str) -> list[str]:
        """Put every file below a local folder into the store; their addresses, sorted."""
        for path in folder.rglob("*"):
            if path.is_file():
                cls.objects[f"{address}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
        return sorted(path for path in cls.objects if path.startswith(f"{address}/"))

    @classmethod
    def scheme(cls) -> str:
        return SCHEME

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *(path.strip("/") for path in paths)])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        pass

    def has_dirs(self) -> bool:
        return False

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        return iter([self.metadata(path) for path in sorted(self.objects) if path.startswith(dir_or_prefix)])

    def create(self, path: str, mime_type: str = "", compression_type: str = "") -> io.BytesIO:
        return _Upload(path)

    def open(self, path: str, mime_type: str = "", compression_type: str = "") -> io.BytesIO:
        if path not in self.objects:
            raise FileNotFoundError(path)
        with self._lock:
            self.opened.append(path)
        return io.BytesIO(self.objects[path])

    def copy(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            self._put(target, self.objects[source])

    def rename(self, source_file_names: Sequence[str], destination_file_names: Sequence[str]) -> None:
        self.copy(source_file_names, destination_file_names)
        self.delete(source_file_names)

    def exists(self, path: str) -> bool:
        return path in self.objects

    def size(self, path: str) -> int:
        return len(self.objects[path])

    def last_updated(self, path: str) -> float:
        return 0.0

    def checksum(self, path: str) -> str:
        return hashlib.md5(self.objects[path]).hexdigest()

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(self.objects[path]))

    def delete(self, paths: Sequence[str]) -> None:
        for path in paths:
            self._check(path, "delete")
            self.objects.pop(path, None)  # real stores also accept to delete nothing

    @classmethod
    def _put(cls, path: str, content: bytes) -> None:
        cls._check(path, "write")
        with cls._lock:
            cls.objects[path] = content

    @classmethod
    def _check(cls, path: str, what: str) -> None:
        if cls.fail_on and cls.fail_on in f"{what} {path}":
            raise BeamIOError(f"refused to {what}", {path: OSError("no permission")})


class _Upload(io.BytesIO):
    """An upload. The object exists once it is closed."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            ObjectStore._put(self._path, self.getvalue())
        super().close()
