"""The folder of an exported model: its description, `model.json`, and whether its files are the ones described."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from model.cli import InputError
from model.contract import CARD_FILE, MODEL_FILE, SCORE_KINDS, TRAINING_FOLDER, USER_VECTORS_FOLDER

GRAPH_FILE = "saved_model.pb"
"""By which TensorFlow knows a SavedModel; its signatures are in it."""

REMEDY = "give the folder that `python -m model.train --model_dir` wrote"
REQUIRED_FIELDS = ("model_kind", "score_kind", "model_version", "files")


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256, in hexadecimal, of every file that makes up the SavedModel in `folder`, by relative name."""
    return {name: sha256(folder / name) for name in _files(folder)}


def read_description(folder: Path) -> dict[str, Any]:
    """What `model.json` in `folder` says.

    Raises:
      InputError: there is no exported model in `folder`, or its description cannot be read or lacks a field.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; {REMEDY}")
    if not (folder / GRAPH_FILE).is_file():
        raise InputError(f"{folder}: not a SavedModel (it has no {GRAPH_FILE}); {REMEDY}")
    path = folder / MODEL_FILE
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing, so nothing says what this SavedModel is; {REMEDY}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error}); {REMEDY}") from None
    if not isinstance(description, dict):
        raise InputError(f"{path}: holds no JSON object; {REMEDY}")
    lacking = [name for name in REQUIRED_FIELDS if name not in description]
    if lacking:
        raise InputError(f"{path}: lacks {', '.join(lacking)}; {REMEDY}")
    if description["score_kind"] not in SCORE_KINDS:
        raise InputError(
            f"{path}: score_kind is {description['score_kind']!r}, which is none of {', '.join(SCORE_KINDS)}"
        )
    return description


def check_files(folder: Path, described: Mapping[str, str]) -> None:
    """Check that the SavedModel in `folder` has the files described, byte for byte. Other files do not matter.

    Raises:
      InputError: a file is missing or changed.
    """
    for name, digest in described.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: missing; copy the model again or train it anew")
        if sha256(path) != digest:
            raise InputError(
                f"{path}: its {path.stat().st_size:,} bytes are not those that {MODEL_FILE} has the digest of; "
                "copy the model again or train it anew"
            )


def _files(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        apart = name.startswith((f"{TRAINING_FOLDER}/", f"{USER_VECTORS_FOLDER}/"))
        if path.is_file() and name not in (MODEL_FILE, CARD_FILE) and not apart:
            yield name


def sha256(path: Path) -> str:
    """The digest of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
