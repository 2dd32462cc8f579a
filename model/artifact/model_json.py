"""`model.json`, the description of an exported model: write it, read it, and check the model's files against it.

A worker reads it before TensorFlow starts, so this module needs the standard library alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model.cli import InputError
from model.contract import CARD_FILE, MODEL_FILE, SCORE_KINDS, TRAINING_FOLDER, USER_VECTORS_FOLDER

GRAPH_FILE = "saved_model.pb"
"""Every SavedModel has this file."""

REMEDY = "give a folder that `nightrank train` wrote"
TRAIN_AGAIN = "train the model again with `nightrank train`"
COPY_AGAIN = "copy the model again or train it again"
REQUIRED_FIELDS = ("model_kind", "score_kind", "model_version", "files")

Signatures = Mapping[str, tuple[frozenset[str], frozenset[str]]]
"""For each signature, the names of its inputs and of its outputs."""


def write_description(description: Mapping[str, Any], folder: Path) -> None:
    """Write `model.json` to `folder`: the description, and a digest of each file of the SavedModel there."""
    document = {**description, "files": digests(folder)}
    (folder / MODEL_FILE).write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """Read `model.json` in `folder`.

    Raises:
      InputError: `folder` holds no exported model, or its `model.json` cannot be read or lacks a field.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {REMEDY}")
    if not (folder / GRAPH_FILE).is_file():
        raise InputError(f"{folder}: not a SavedModel (it has no {GRAPH_FILE}); {REMEDY}")
    path = folder / MODEL_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing, so nothing describes this SavedModel; {REMEDY}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {REMEDY}") from None
    if not isinstance(description, dict):
        raise InputError(f"{path}: not a JSON object; {REMEDY}")
    missing = [name for name in REQUIRED_FIELDS if name not in description]
    if missing:
        raise InputError(f"{path}: has no {', '.join(missing)}; {REMEDY}")
    if description["score_kind"] not in SCORE_KINDS:
        raise InputError(
            f"{path}: score_kind is {description['score_kind']!r}; it must be {' or '.join(SCORE_KINDS)}; {TRAIN_AGAIN}"
        )
    return description


def read_signatures(description: Mapping[str, Any], folder: Path) -> Signatures:
    """The signatures that the description of the model in `folder` lists.

    Raises:
      InputError: the description lists none, or its list is damaged.
    """
    path = folder / MODEL_FILE
    if "signatures" not in description:
        raise InputError(f"{path}: does not list the model's signatures, as an older version wrote it; {TRAIN_AGAIN}")
    try:
        return {
            name: (frozenset(signature["inputs"].keys()), frozenset(signature["outputs"].keys()))
            for name, signature in description["signatures"].items()
        }
    except (AttributeError, KeyError, TypeError):
        raise InputError(f"{path}: its list of signatures is damaged; {COPY_AGAIN}") from None


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of the SavedModel in `folder`, in hexadecimal, by its path relative to `folder`."""
    return {name: sha256(folder / name) for name in _files(folder)}


def check_files(folder: Path, expected: Mapping[str, str]) -> None:
    """Check that `folder` holds each expected file, byte for byte. Other files do not matter.

    Args:
      folder: the model's folder.
      expected: as `digests` returns it.

    Raises:
      InputError: a file is missing or has changed.
    """
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing; {COPY_AGAIN}")
        if sha256(path) != digest:
            size = path.stat().st_size
            raise InputError(f"{path}: its {size:,} bytes do not match the digest in {MODEL_FILE}; {COPY_AGAIN}")


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        beside = name.startswith((f"{TRAINING_FOLDER}/", f"{USER_VECTORS_FOLDER}/"))
        if path.is_file() and name not in (MODEL_FILE, CARD_FILE) and not beside:
            yield name
