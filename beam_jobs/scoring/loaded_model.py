"""A model in a worker: checked, loaded once for each process, and called with arrays."""

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
from model.tensorflow_start import garbage_collection_paused, import_tensorflow

Users: TypeAlias = Any
"""B users: their ids, as `Ranker.strings` returns them, or their vectors, an `np.ndarray` `float32[B, W]`. Both can be
sliced."""


@dataclass(frozen=True)
class Ranked:
    """The k best candidates of each of B users."""

    index: np.ndarray
    """`int32[B, k]`, indices of candidates; -1 where fewer than k are left."""
    score: np.ndarray
    """`float32[B, k]`, highest first; -inf where fewer than k are left."""
    rating: np.ndarray
    """`float32[B, k]`, the predicted ratings; they mean nothing where the index is -1."""
    known: np.ndarray | None
    """`bool[B]`, whether the model was trained on interactions of the user; None for users given by their vectors."""


class Ranker:
    """The signatures of an exported model as methods.

    Args:
      folder: the model's folder, a local one.
      threads: cores that this process may use; None for all.

    Raises:
      InputError: there is no model in `folder`, or its files do not match `model.json`.
    """

    def __init__(self, folder: Path, threads: int | None) -> None:
        self.description: Mapping[str, Any] = read_description(folder)
        check_files(folder, self.description["files"])
        self._tensorflow = _import_tensorflow(threads)
        _limit_arrow(threads)
        try:
            # Keep the model: its signatures hold the graph, but not the variables and tables that the graph reads.
            with garbage_collection_paused():
                self._model = self._tensorflow.saved_model.load(str(folder))
        except (OSError, ValueError, self._tensorflow.errors.OpError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{folder}: TensorFlow cannot load this SavedModel ({reason}); train it anew") from None
        self._signatures = self._model.signatures

    def recommend(
        self, users: Users, candidates: Any, seen_values: np.ndarray, seen_row_splits: np.ndarray, k: int
    ) -> Ranked:
        """The k best unseen candidates of each of B users: higher scores first, equal scores by candidate index.

        Args:
          users: see `Users`.
          candidates: the M titles, as `strings` returns them.
          seen_values: `int32[S]`, indices of candidates.
          seen_row_splits: `int64[B + 1]`, where each user's part of `seen_values` begins and ends.
          k: how many candidates each user gets.
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
        """`float32[W]`, the vector for users whom the model does not know."""
        return self._signatures[UNKNOWN_USER_SIGNATURE]()[USER_VECTOR].numpy()[0]

    def strings(self, words: pa.Array) -> Any:
        """Convert Arrow strings to a string tensor once, and not again for each call."""
        return self._tensorflow.constant(words.to_numpy(zero_copy_only=False), self._tensorflow.string)


_open_rankers: dict[str, Ranker] = {}
_opening = threading.Lock()


def open_ranker(path: str, threads: int | None, model_version: str) -> Ranker:
    """The model in the folder `path`, local or gs://. A process loads it once and then shares it.

    Args:
      path: the model's folder. A remote one is copied first, so that the bytes checked are the bytes loaded.
      threads: see `Ranker`. Only the first call sets it.
      model_version: the version that the model must have. If the one loaded earlier has another, it is loaded again.

    Raises:
      InputError: see `Ranker`; or the model in `path` has another version.
    """
    with _opening:
        ranker = _open_rankers.get(path)
        if ranker is None or ranker.description["model_version"] != model_version:
            ranker = _load(path, threads)
            _open_rankers[path] = ranker
        found = ranker.description["model_version"]
        if found != model_version:
            raise InputError(f"{path}: holds {found} now, but the run began with {model_version}; run it again")
        return ranker


def _load(path: str, threads: int | None) -> Ranker:
    with local_folder(path) as folder:
        return Ranker(folder, threads)


def _import_tensorflow(threads: int | None) -> Any:
    """Import TensorFlow, and set it to run one operation on each core, with one thread each.

    `recommend` works on several blocks of users at once. That uses the cores better than several threads inside one
    small matrix product.
    """
    tf = import_tensorflow()
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(threads or os.cpu_count() or 1)
    except RuntimeError:
        # TensorFlow is already running in this process, which may have trained a model. The results are the same.
        pass
    # XLA compiles what is worth compiling. Optimising the rest takes a third of the first call and gains nothing.
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return tf


def _limit_arrow(threads: int | None) -> None:
    """Set Arrow to use no more threads than the process may use, and to give memory back.

    Arrow's own allocators keep freed memory for later. Beside TensorFlow's allocator there is no room for that.
    """
    pa.set_cpu_count(threads or os.cpu_count() or 1)
    pa.set_memory_pool(pa.system_memory_pool())
