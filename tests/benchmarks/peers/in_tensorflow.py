"""Peers in TensorFlow: TFRS's `BruteForce` and Keras's `predict`, with the same shapes as ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from model.tensorflow_start import import_tensorflow
from tests.benchmarks.limits import median_seconds

USERS_A_BLOCK = 512
"""Users in a call of TFRS's `BruteForce`."""
BATCH = 65_536
"""Pairs in a batch. Keras's default of 32 is a thousand times slower."""


def brute_force(vectors: Path, users: int, k: int, seconds: float) -> tuple[float, np.ndarray]:
    """Measure TFRS's `BruteForce` in a compiled function with all threads: pairs a second, and its first answers."""
    tf = import_tensorflow()
    import tensorflow_recommenders as tfrs

    queries, titles = (np.load(vectors / name) for name in ("users.npy", "titles.npy"))
    index = tfrs.layers.factorized_top_k.BruteForce(k=k)
    index.index(tf.constant(titles))
    call = tf.function(lambda block: index(block, k=k))
    blocks = [tf.constant(queries[first : first + USERS_A_BLOCK]) for first in range(0, users, USERS_A_BLOCK)]

    def run() -> None:
        for block in blocks:
            call(block)[1].numpy()

    first = call(blocks[0])[1].numpy()[:64]
    return users * len(titles) / median_seconds(run, seconds), first


def keras_predict(users: int, titles: int, seconds: float) -> float:
    """Pairs a second of `predict` with the article's layers, on every pair of some users in memory."""
    tf = import_tensorflow()
    inputs = [tf.keras.Input([], dtype=tf.int32, name=name) for name in ("user", "title")]
    towers = [tf.keras.layers.Embedding(size + 1, 32)(row) for size, row in zip((users, titles), inputs, strict=True)]
    hidden: Any = tf.keras.layers.Concatenate()(towers)
    for units in (256, 64):
        hidden = tf.keras.layers.Dense(units, activation="relu")(hidden)
    network = tf.keras.Model(inputs, tf.keras.layers.Dense(1)(hidden))
    pairs = [np.repeat(np.arange(users), titles), np.tile(np.arange(titles), users)]
    taken = median_seconds(lambda: network.predict(pairs, batch_size=BATCH, verbose=0), seconds)
    return users * titles / taken
