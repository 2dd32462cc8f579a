"""A trained model as the jobs use it: verified, loaded once a process, called with Arrow columns."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from beam_jobs.scoring.exported_model import local_folder
from model.artifact.model_json import check_files, read_description
from model.cli import InputError
from model.contract import (
    KNOWN,
    RECOMMEND_RATED_SIGNATURE,
    RECOMMEND_VECTORS_SIGNATURE,
    UNKNOWN_USER_SIGNATURE,
    USER_ID,
    USER_RATING,
    USER_VECTOR,
)
from model.tensorflow_start import garbage_left, import_tensorflow

Users: TypeAlias = Any
"""B users, by what `Ranker.strings` made of their ids, or by their vectors, `np.ndarray`, `float32[B, W]`. Slices of
either are users too."""


@dataclass(frozen=True)
class Ranked:
    """Of B users and the k best candidates of each."""

    index: np.ndarray
    """`int32[B, k]`, positions in the candidates; -1 where fewer than k remain."""
    score: np.ndarray
    """`float32[B, k]`, falling; -inf where fewer than k remain."""
    rating: np.ndarray
    """`float32[B, k]`, predicted; it means nothing where the index is -1."""
    known: np.ndarray | None
    """`bool[B]`, whether the model was trained on interactions of the user; None of users given by their vectors."""


class Ranker:
    """The signatures of an exported model as methods.

    Args:
      folder: the model's folder, local.
      threads: cores that this process may use; None for all that it finds.

    Raises:
      InputError: there is no model in `folder`, or its files are not those that `model.json` describes.
    """

    def __init__(self, folder: Path, threads: int | None) -> None:
        self.description: Mapping[str, Any] = read_description(folder)
        check_files(folder, self.description["files"])
        self._tensorflow = _import_tensorflow(threads)
        _restrain_arrow(threads)
        try:
            # Kept: the signatures hold the graph but not the variables and tables that it reads.
            with garbage_left():
                self._model = self._tensorflow.saved_model.load(str(folder))
        except (OSError, ValueError, self._tensorflow.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{folder}: TensorFlow cannot load this SavedModel ({reason}); train it anew") from None
        self._signatures = self._model.signatures

    def recommend(
        self, users: Users, candidates: Any, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> Ranked:
        """The k best unseen candidates of each of B users, best first, ties by position.

        Args:
          users: see `Users`.
          candidates: what `strings` made of the M candidates.
          seen_values: `int32[S]`, positions in the candidates.
          seen_row_splits: `int64[B + 1]`, where each user's part of `seen_values` begins and ends.
          k: how many.
        """
        if by_vector := isinstance(users, np.ndarray):
            name, who = RECOMMEND_VECTORS_SIGNATURE, {USER_VECTOR: self._tensorflow.constant(users, "float32")}
        else:
            name, who = RECOMMEND_RATED_SIGNATURE, {USER_ID: users}
        best = self._signatures[name](
            **who,
            candidates=candidates,
            seen_values=self._tensorflow.constant(seen_values, self._tensorflow.int32),
            seen_row_splits=self._tensorflow.constant(seen_row_splits, self._tensorflow.int64),
            k=self._tensorflow.constant(k, self._tensorflow.int32),
        )
        known = None if by_vector else best[KNOWN].numpy()
        return Ranked(best["index"].numpy(), best["score"].numpy(), best[USER_RATING].numpy(), known)

    def unknown_user(self) -> np.ndarray:
        """`float32[W]`, the vector of users that the model does not know."""
        return self._signatures[UNKNOWN_USER_SIGNATURE]()[USER_VECTOR].numpy()[0]

    def strings(self, words: pa.Array) -> Any:
        """A string tensor of Arrow strings, so that they are converted once rather than once a call."""
        return self._tensorflow.constant(words.to_numpy(zero_copy_only=False), self._tensorflow.string)


_open_rankers: dict[str, Ranker] = {}
_opening = threading.Lock()


def open_ranker(path: str, threads: int | None, model_version: str) -> Ranker:
    """The model at `path`, local or gs://, which a process loads once and then shares.

    Args:
      path: the model's folder. A remote one is copied first, so that the bytes checked are the bytes loaded.
      threads: as `Ranker` takes it; that of the first call holds.
      model_version: the version that it must have, which one loaded earlier may have.

    Raises:
      InputError: as `Ranker`, or the model at `path` has another version.
    """
    with _opening:
        ranker = _open_rankers.get(path)
        if ranker is None or ranker.description["model_version"] != model_version:
            ranker = _load(path, threads)
            _open_rankers[path] = ranker
        found = ranker.description["model_version"]
        if found != model_version:
            raise InputError(f"{path}: holds {found} now, not {model_version} as when the run began; run it again")
        return ranker


def _load(path: str, threads: int | None) -> Ranker:
    with local_folder(path) as folder:
        return Ranker(folder, threads)


def _import_tensorflow(threads: int | None) -> Any:
    """TensorFlow, set to run one operation a core with one thread each.

    `recommend` works on whole blocks of users side by side, which splits better over cores than threads inside one
    small matrix product do.
    """
    tf = import_tensorflow()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(threads or os.cpu_count() or 1)
    except RuntimeError:
        # TensorFlow has begun to work in this process, as in one that also trained; results are the same.
        pass
    # What is worth compiling is compiled by XLA; rewriting the rest takes a third of the first call and gains nothing.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return tf


def _restrain_arrow(threads: int | None) -> None:
    """Arrow, set to no more threads than the process may use, and to give memory back.

    Its own allocators keep for later what was freed, which a process that also has TensorFlow's has no room for.
    """
    pa.set_cpu_count(threads or os.cpu_count() or 1)
    pa.set_memory_pool(pa.system_memory_pool())
