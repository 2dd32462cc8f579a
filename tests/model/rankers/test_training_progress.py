"""A fit tells how many batches of all its epochs are done, and Keras prints nothing."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import tensorflow as tf

from model.rankers.training_progress import training_progress


def test_every_batch_of_every_epoch_is_counted(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "model.progress")
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile(loss="mse")
    x, y = np.ones((10, 2), np.float32), np.ones((10, 1), np.float32)
    capfd.readouterr()
    with training_progress(3 * 4) as progress:
        model.fit(x, y, batch_size=3, epochs=3, validation_data=(x, y), verbose=0, callbacks=[progress])
    printed = capfd.readouterr()
    assert printed.out == ""
    [line] = [line for line in printed.err.splitlines() if line.startswith("training")]
    assert "12 batches in " in line
