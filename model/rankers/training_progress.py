"""The progress of a fit by Keras, in place of the lines that Keras prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import tensorflow as tf

from model.progress import Progress


class _CountBatches(tf.keras.callbacks.Callback):
    """Counts each training batch as done."""

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress
        # Without this Keras copies the metrics of every batch into NumPy, for a callback that does not read them.
        self._supports_tf_logs = True

    def on_train_batch_end(self, batch: int, logs: Mapping[str, object] | None = None) -> None:
        self._progress.advance()


@contextmanager
def training_progress(batches: int) -> Iterator[tf.keras.callbacks.Callback]:
    """Show a phase "training" of `batches` batches, those of all epochs. Give the callback to `fit`, with verbose=0."""
    with Progress("training", batches, "batches") as progress:
        yield _CountBatches(progress)
