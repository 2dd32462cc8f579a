"""Write a trained model to the folder where the jobs find it: the whole model or nothing."""

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
import tensorflow as tf
from pyarrow import fs

from model import storage
from model.artifact.model_json import write_description
from model.cli import InputError
from model.contract import MODEL_FILE
from model.retrieval.signatures import Recommender
from model.retrieval.weights import Weights


def export(recommender: Recommender, description: Mapping[str, Any], folder: Path) -> None:
    """Write the SavedModel to `folder`, and then `model.json`.

    `model.json` is the description, the model's signatures, and a digest of each file.
    """
    recommender.save(folder)
    signatures = describe_signatures(recommender.signature_functions())
    write_description({**description, "signatures": signatures}, folder)


def describe_signatures(functions: Mapping[str, Any]) -> dict[str, Any]:
    """Inputs and outputs of each signature, for `model.json`.

    Args:
      functions: a `tf.function` with an input signature for each name.

    Returns:
      `{name: {"inputs": {name: {"dtype": "string", "shape": [null]}}, "outputs": ...}}`; null is a size that varies.
    """
    described = {}
    for name, function in functions.items():
        concrete = function.get_concrete_function()
        # Every argument has a name in the SavedModel, whether the Python function takes it by position or by name.
        inputs = {spec.name: spec for spec in tf.nest.flatten(concrete.structured_input_signature)}
        described[name] = {
            "inputs": {name: _described(spec) for name, spec in inputs.items()},
            "outputs": {name: _described(spec) for name, spec in concrete.structured_outputs.items()},
        }
    return described


def _described(spec: tf.TensorSpec) -> dict[str, Any]:
    return {"dtype": spec.dtype.name, "shape": spec.shape.as_list()}


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
    """Yield a new local folder that replaces `folder`, a local path or gs://, once the block ends without an error.

    A local folder is replaced by renaming, so a reader finds either the old model or the new one. An object store
    cannot rename. There, `model.json` is deleted first and written last, and no job takes a model without it.

    Raises:
      InputError: `folder` cannot be written, or holds something that is not a model.
    """
    filesystem, path = storage.resolve(folder)
    _check_replaceable(filesystem, path, folder)
    if not isinstance(filesystem, fs.LocalFileSystem):
        with tempfile.TemporaryDirectory() as new:
            yield Path(new)
            _upload(Path(new), filesystem, path)
        return
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        new = tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); name another folder") from None
    try:
        # mkdtemp keeps everyone else out, but other jobs must be able to read this folder.
        Path(new).chmod(0o777 & ~_umask())
        yield Path(new)
        old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
        if target.exists():
            target.rename(old / "replaced")
        Path(new).rename(target)
        shutil.rmtree(old)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _check_replaceable(filesystem: fs.FileSystem, path: str, folder: str) -> None:
    info = filesystem.get_file_info(path)
    if info.type == fs.FileType.File:
        raise InputError(f"{folder}: is a file; name a folder")
    if info.type == fs.FileType.NotFound:
        return
    names = {Path(entry.path).name for entry in filesystem.get_file_info(fs.FileSelector(path))}
    if names and MODEL_FILE not in names:
        raise InputError(f"{folder}: holds files but no {MODEL_FILE}; name a new folder or the folder of a model")


def _upload(source: Path, filesystem: fs.FileSystem, path: str) -> None:
    if filesystem.get_file_info(f"{path}/{MODEL_FILE}").type == fs.FileType.File:
        filesystem.delete_file(f"{path}/{MODEL_FILE}")
        filesystem.delete_dir_contents(path)
    files = sorted((file for file in source.rglob("*") if file.is_file()), key=lambda file: file.name == MODEL_FILE)
    for file in files:
        with filesystem.open_output_stream(f"{path}/{file.relative_to(source).as_posix()}") as stream:
            stream.write(file.read_bytes())


def _umask() -> int:
    """The umask of the process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
