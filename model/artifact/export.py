"""Write a trained model where the jobs find it: complete or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import fs

from model import storage
from model.artifact.model_json import digests
from model.cli import InputError
from model.contract import MODEL_FILE
from model.retrieval.signatures import Recommender
from model.retrieval.weights import Weights


def export(recommender: Recommender, description: Mapping[str, Any], folder: Path) -> None:
    """Write the SavedModel into `folder`, and `model.json` last: the description and a digest of every file."""
    recommender.save(folder)
    document = {**description, "files": digests(folder)}
    (folder / MODEL_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def model_version(kind: str, weights: Weights) -> str:
    """A name for exactly these weights and vocabularies, such as `basic-1f3a9c0e52d7`."""
    digest = hashlib.sha256()
    for words in (weights.user_ids, weights.movie_titles):
        digest.update(json.dumps(list(words)).encode())
    for array in weights.arrays():
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{kind}-{digest.hexdigest()[:12]}"


@contextmanager
def replacing(folder: str) -> Iterator[Path]:
    """A new local folder that takes the place of `folder`, a local path or gs://, when the block ends well.

    A local folder is replaced by renaming, so that a reader finds the former model or the new one. Object stores have
    no such step: there `model.json`, without which no job takes a model, is deleted first and written last.

    Raises:
      InputError: `folder` cannot be written, or holds something that is not a model.
    """
    filesystem, path = storage.resolve(folder)
    _check_replaceable(filesystem, path, folder)
    if not isinstance(filesystem, fs.LocalFileSystem):
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)
            _upload(Path(made), filesystem, path)
        return
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-")
    except OSError as error:
        raise InputError(f"--model_dir {folder}: cannot be written ({error.strerror}); name another folder") from None
    try:
        # mkdtemp lets nobody else in, which is not what a folder that other jobs read should have.
        Path(made).chmod(0o777 & ~_umask())
        yield Path(made)
        former = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        if target.exists():
            target.rename(former / "replaced")
        Path(made).rename(target)
        shutil.rmtree(former)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _check_replaceable(filesystem: fs.FileSystem, path: str, folder: str) -> None:
    info = filesystem.get_file_info(path)
    if info.type == fs.FileType.File:
        raise InputError(f"--model_dir {folder}: is a file; name a folder")
    if info.type == fs.FileType.NotFound:
        return
    names = {Path(entry.path).name for entry in filesystem.get_file_info(fs.FileSelector(path))}
    if names and MODEL_FILE not in names:
        raise InputError(f"--model_dir {folder}: holds files but no {MODEL_FILE}; name a new folder or a model's")


def _upload(source: Path, filesystem: fs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(f"{path}/{MODEL_FILE}").type == fs.FileType.File:
        filesystem.delete_file(f"{path}/{MODEL_FILE}")
        filesystem.delete_dir_contents(path)
    files = sorted((file for file in source.rglob("*") if file.is_file()), key=lambda file: file.name == MODEL_FILE)
    for file in files:
        with filesystem.open_output_stream(f"{path}/{file.relative_to(source).as_posix()}") as stream:
            stream.write(file.read_bytes())


def _umask() -> int:
    """The process's umask, which can be read only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
