"""Check an exported model without TensorFlow, which takes longer to start than all other checks together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from beam_jobs.io import storage
from model.artifact.model_json import TRAIN_AGAIN, Signatures, check_files, read_description, read_signatures
from model.cli import InputError
from model.contract import SIGNATURES, USER_VECTORS_FOLDER, VECTOR_SIGNATURES


@dataclass(frozen=True)
class ExportedModel:
    """The description of an exported model."""

    description: Mapping[str, Any]
    """The content of `model.json`."""
    signatures: Signatures

    @property
    def needs_vectors(self) -> bool:
        """Whether the users' vectors lie beside the model and not inside it."""
        return "user_vectors" in self.description

    def check_signatures(self, expected: Signatures, folder: str) -> None:
        """Check that the model has each expected signature, with the same names of inputs and outputs.

        Raises:
          InputError: a signature is missing or different; the message names `folder`.
        """
        for name, (inputs, outputs) in expected.items():
            if name not in self.signatures:
                raise InputError(f"{folder}: the model has no signature {name!r}; {TRAIN_AGAIN}")
            takes, returns = self.signatures[name]
            if takes != inputs or returns != outputs:
                raise InputError(
                    f"{folder}: signature {name!r} takes {sorted(takes)} and returns {sorted(returns)}, "
                    f"not {sorted(inputs)} and {sorted(outputs)}; {TRAIN_AGAIN}"
                )


def check_model(path: str) -> ExportedModel:
    """Read and check the model in the folder `path`, local or gs://.

    Raises:
      InputError: there is no model, its files do not match its description, or a signature is missing or different.
    """
    with local_folder(path) as folder:
        description = read_description(folder)
        check_files(folder, description["files"])
        model = ExportedModel(description, read_signatures(description, folder))
        model.check_signatures(SIGNATURES, str(folder))
        if model.needs_vectors:
            model.check_signatures(VECTOR_SIGNATURES, str(folder))
        return model


@contextmanager
def local_folder(path: str) -> Iterator[Path]:
    """The model's folder, or a temporary local copy of a remote one, so that the bytes checked are the bytes used.

    The copy leaves out the users' vectors. An `InputError` from the block names `path`, not the copy.
    """
    if storage.is_local(path):
        yield Path(path)
        return
    with TemporaryDirectory() as copy:
        storage.copy_folder(path, Path(copy), left_out=USER_VECTORS_FOLDER)
        try:
            yield Path(copy)
        except InputError as error:
            raise InputError(str(error).replace(copy, path.rstrip("/"))) from None
