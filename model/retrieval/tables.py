"""The tables of an exported model: vocabularies, and vectors by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

UserTables = Sequence[tf.Tensor]
"""Vectors of users, `float32[users, ..]` each. Scores use the first table, ratings the last. They are the model's own
tables, or tables of vectors that came with the request; a user's row is the same in all of them."""


def vocabulary_table(words: Sequence[str]) -> tf.lookup.StaticHashTable:
    """A lookup from a word to its row: 1 for the first word, 0 for a word outside the vocabulary.

    The words are tensors in the graph, not lines of an asset file, because a title may contain a line break.
    """
    # TensorFlow refuses an empty table. One word with the row of unknown words has the same effect.
    first, keys = (1, list(words)) if len(words) else (0, [""])
    rows = tf.range(first, first + len(keys), dtype=tf.int32)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(keys, tf.string), rows)
    return tf.lookup.StaticHashTable(initializer, default_value=0)


def constant(name: str, values: np.ndarray) -> tf.Variable:
    """A variable that never changes. Unlike a constant of the graph, it may have any size."""
    return tf.Variable(values, trainable=False, name=name)
