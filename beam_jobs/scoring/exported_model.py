"""An exported model as far as it can be known without TensorFlow, whose start takes longer than all other checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet

from beam_jobs.io import storage
from model.artifact.model_json import GRAPH_FILE, check_files, read_description
from model.cli import InputError
from model.contract import SIGNATURES, USER_VECTORS_FOLDER, VECTOR_SIGNATURES

Signatures = Mapping[str, tuple[frozenset[str], frozenset[str]]]
"""Names of inputs and outputs, by the name of the signature."""


@dataclass(frozen=True)
class ExportedModel:
    """What a model says of itself."""

    description: Mapping[str, Any]
    """Of `model.json`."""
    signatures: Signatures

    @property
    def needs_vectors(self) -> bool:
        """Whether the model does not hold its users' vectors."""
        return "user_vectors" in self.description

    def check_signatures(self, wanted: Signatures, model: str) -> None:
        """Raises InputError, naming the folder `model`, for a signature that is missing or is another."""
        for name, (inputs, outputs) in wanted.items():
            if name not in self.signatures:
                raise InputError(
                    f"{model}: the SavedModel has no signature {name!r}; export it with python -m model.train"
                )
            takes, gives = self.signatures[name]
            if takes != inputs or gives != outputs:
                raise InputError(
                    f"{model}: signature {name!r} takes {sorted(takes)} and gives {sorted(gives)}, "
                    f"not {sorted(inputs)} and {sorted(outputs)}; export it with python -m model.train"
                )


def check_model(path: str) -> ExportedModel:
    """What the model in the folder `path`, local or gs://, that of `--model`, says of itself.

    Raises:
      InputError: there is none, its files are not those that it describes, or it lacks a signature.
    """
    try:
        with local_folder(path) as folder:
            description = read_description(folder)
            check_files(folder, description["files"])
            model = ExportedModel(description, read_signatures(folder))
            model.check_signatures(SIGNATURES, str(folder))
            if model.needs_vectors:
                model.check_signatures(VECTOR_SIGNATURES, str(folder))
            return model
    except InputError as error:
        raise InputError(f"--model {error}") from None


@contextmanager
def local_folder(path: str) -> Iterator[Path]:
    """The folder of a model, or for the time being a local copy, so that the bytes checked are the bytes used."""
    if storage.is_local(path):
        yield Path(path)
        return
    with TemporaryDirectory() as copy:
        storage.copy_folder(path, Path(copy), left_out=USER_VECTORS_FOLDER)
        try:
            yield Path(copy)
        except InputError as error:
            raise InputError(str(error).replace(copy, path.rstrip("/"))) from None


def read_signatures(folder: Path) -> Signatures:
    """The signatures of the SavedModel in `folder`.

    A protocol buffer is read here without its schema, which comes with TensorFlow alone; numbers of fields are those
    of tensorflow/core/protobuf/saved_model.proto and meta_graph.proto.

    Raises:
      InputError: it is no SavedModel.
    """
    signatures: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
    try:
        for graph in _values((folder / GRAPH_FILE).read_bytes(), field=2):
            for name, signature in _entries(graph, field=5):
                inputs, outputs = (frozenset(dict(_entries(signature, field))) for field in (1, 2))
                signatures[name] = inputs, outputs
    except (DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{folder}: {GRAPH_FILE} is damaged ({error}); train the model anew") from None
    return signatures


def _values(message: bytes, field: int) -> Iterator[bytes]:
    """What an encoded message has in a field of messages or strings."""
    for found in UnknownFieldSet(Empty.FromString(message)):
        if found.field_number == field:
            yield found.data


def _entries(message: bytes, field: int) -> Iterator[tuple[str, bytes]]:
    """Keys and values of a field that is a map from strings to messages."""
    for entry in _values(message, field):
        yield next(_values(entry, 1), b"").decode(), next(_values(entry, 2), b"")
