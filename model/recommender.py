"""What is exported: a trained ranker as a `tf.Module` that scores pairs and finds each user's best candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from model.contract import (
    KNOWN_SIGNATURE,
    MOVIE_TITLE,
    RECOMMEND_SIGNATURE,
    SERVING_SIGNATURE,
    USER_ID,
    USER_RATING,
)

PAIRS_A_STEP = 4_096
"""Pairs scored by one pass through the dense layers; the first hidden layer, 256 floats a pair, is then 4 MiB.

A quarter of that was slower by a tenth, for the cost of starting operations; several times that leaves the cache."""

STEPS_IN_FLIGHT = 8
"""Blocks of users that may be worked on at once. With one thread an operation and one operation a core, whole blocks
run side by side, which splits better over cores than the threads inside one small matrix product do."""


@dataclass(frozen=True)
class RankerWeights:
    """The arrays of a trained two-embedding ranker, all float32.

    Row 0 of both embeddings stands for what the vocabulary does not hold; row i + 1 for its entry i.
    """

    user_ids: Sequence[str]
    movie_titles: Sequence[str]
    user_embedding: np.ndarray
    """`[users + 1, D]`"""
    title_embedding: np.ndarray
    """`[titles + 1, E]`"""
    kernels: Sequence[np.ndarray]
    """Of the dense layers in order: `[D + E, H1]`, `[H1, H2]`, ..., `[Hn, 1]`; ReLU between them."""
    biases: Sequence[np.ndarray]
    """`[H1]`, `[H2]`, ..., `[1]`"""
    known: np.ndarray
    """`bool[users + 1]`: whether the row was trained on any interaction."""


class Recommender(tf.Module):
    """The exported model: needs TensorFlow alone, holds its vocabularies, runs no Python.

    The first dense layer works on the concatenation of two embeddings, so its product is the sum of a user half and a
    candidate half. Each half is computed once for a user and once for a candidate rather than once a pair, which
    leaves the second layer as the cost of a pair (2 x 256 x 64 floating-point operations in the article's model).

    Ties are kept: a row of a matrix product comes out with the same bits whatever rows stand beside it, so titles
    that the model cannot tell apart get equal scores. That holds in TensorFlow's CPU kernels for two rows or more; a
    single row takes a matrix-vector kernel that sums in another order, so products here always have two rows.
    """

    def __init__(self, weights: RankerWeights) -> None:
        super().__init__()
        self._user_rows = _vocabulary(weights.user_ids)
        self._title_rows = _vocabulary(weights.movie_titles)
        self._user_embedding = _constant("user_embedding", weights.user_embedding)
        self._title_embedding = _constant("title_embedding", weights.title_embedding)
        dimension = weights.user_embedding.shape[1]
        self._user_kernel = _constant("user_kernel", weights.kernels[0][:dimension])
        self._title_kernel = _constant("title_kernel", weights.kernels[0][dimension:])
        self._first_bias = _constant("first_bias", weights.biases[0])
        self._kernels = [_constant(f"kernel_{i}", kernel) for i, kernel in enumerate(weights.kernels[1:], 2)]
        self._biases = [_constant(f"bias_{i}", bias) for i, bias in enumerate(weights.biases[1:], 2)]
        self._known = _constant("known", weights.known)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user_id")])
    def known_users(self, user_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """`string[B]` -> `known: bool[B]`, whether the model was trained on interactions of the user."""
        return {"known": tf.gather(self._known, self._user_rows.lookup(user_id))}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, "user_id"), tf.TensorSpec([None], tf.string, "movie_title")]
    )
    def serving_default(self, user_id: tf.Tensor, movie_title: tf.Tensor) -> dict[str, tf.Tensor]:
        """Two `string[B]` -> `user_rating: float32[B]`, the predicted rating of each pair."""
        tf.debugging.assert_equal(
            tf.size(user_id), tf.size(movie_title), "user_id and movie_title must be of one length, a pair a place"
        )
        pairs = tf.size(user_id)
        user_rows = self._user_rows.lookup(_at_least(2, user_id))
        user_half = _dense(tf.gather(self._user_embedding, user_rows), self._user_kernel, self._first_bias)
        hidden = user_half + self._title_half(_at_least(2, movie_title))
        return {USER_RATING: _score(hidden, self._read_layers())[:pairs]}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "user_id"),
            tf.TensorSpec([None], tf.string, "candidates"),
            tf.TensorSpec([None], tf.int32, "seen_values"),
            tf.TensorSpec([None], tf.int64, "seen_row_splits"),
            tf.TensorSpec([], tf.int32, "k"),
        ]
    )
    def recommend(
        self,
        user_id: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The k best candidates of each user that the user has not seen, by score falling, then position rising.

        Exact: equal to scoring every pair by `serving_default`, dropping the seen and sorting. Beside what it is
        given and what it returns it holds the candidates' halves, `float32[M, H1]`, and `STEPS_IN_FLIGHT` blocks of
        at most max(M, `PAIRS_A_STEP`) scores and `PAIRS_A_STEP` hidden rows, whatever the number of users.

        Args:
          user_id: `string[B]`; a user outside the vocabulary is scored by the embedding for unknown users.
          candidates: `string[M]`; likewise.
          seen_values: `int32[S]`, positions in `candidates`, all in [0, M).
          seen_row_splits: `int64[B + 1]`; user b must not get `seen_values[splits[b]:splits[b + 1]]`.
          k: `int32`, at least 0.

        Returns:
          `index: int32[B, k]` into `candidates` and `score: float32[B, k]`; -1 and -inf where fewer than k remain.

        Raises:
          InvalidArgumentError: an argument is not as described.
        """
        users, count = tf.size(user_id), tf.size(candidates)
        with tf.control_dependencies(
            [
                tf.debugging.assert_non_negative(k, "k is negative"),
                tf.debugging.assert_equal(
                    tf.size(seen_row_splits), users + 1, "seen_row_splits is not one longer than user_id"
                ),
                tf.debugging.assert_non_negative(seen_values, "seen_values has a position that is negative"),
                tf.debugging.assert_less(seen_values, count, "seen_values has a position past the last candidate"),
            ]
        ):
            # What follows waits for the checks: run beside them, it would fail first and say less.
            user_id, k = tf.identity(user_id), tf.identity(k)

        chunks = tf.maximum(1, _ceil_div(count, PAIRS_A_STEP))
        chunk = tf.maximum(2, _ceil_div(count, chunks))
        titles_half = self._title_half(_at_least(chunk * chunks, candidates))

        block = tf.maximum(1, PAIRS_A_STEP // chunk)
        blocks = tf.maximum(1, _ceil_div(users, block))
        user_rows = self._user_rows.lookup(_at_least(blocks * block, user_id))
        seen_row_splits = _at_least(blocks * block + 1, seen_row_splits, filler=seen_row_splits[-1])
        depth = tf.minimum(k, count)
        # Tables and variables are read before the loop: inside it they would make TensorFlow run the blocks in turn.
        user_embedding, user_kernel, first_bias = (
            variable.read_value() for variable in (self._user_embedding, self._user_kernel, self._first_bias)
        )
        layers = self._read_layers()

        def best_of_block(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            first = number * block
            rows = _at_least(2, user_rows[first : first + block], filler=0)
            user_half = _dense(tf.gather(user_embedding, rows), user_kernel, first_bias)[:block]

            def score_chunk(start: tf.Tensor) -> tf.Tensor:
                hidden = user_half[:, tf.newaxis] + titles_half[start : start + chunk]
                return tf.reshape(_score(tf.reshape(hidden, [block * chunk, hidden.shape[-1]]), layers), [block, chunk])

            parts = tf.map_fn(
                score_chunk, tf.range(chunks) * chunk, fn_output_signature=tf.float32, parallel_iterations=1
            )
            scores = tf.reshape(tf.transpose(parts, [1, 0, 2]), [block, chunks * chunk])[:, :count]

            splits = seen_row_splits[first : first + block + 1]
            rows = tf.repeat(tf.range(block), splits[1:] - splits[:-1])
            seen = tf.stack([rows, seen_values[splits[0] : splits[-1]]], axis=1)
            scores = tf.tensor_scatter_nd_update(scores, seen, tf.fill([tf.size(rows)], -np.inf))
            # Of equal scores top_k takes the lower position first, which is the order promised.
            best = tf.math.top_k(scores, depth)
            return best.values, best.indices

        score, index = tf.map_fn(
            best_of_block,
            tf.range(blocks),
            fn_output_signature=(tf.float32, tf.int32),
            parallel_iterations=STEPS_IN_FLIGHT,
        )
        missing = [[0, 0], [0, k - depth]]
        score = tf.pad(tf.reshape(score, [blocks * block, depth])[:users], missing, constant_values=-np.inf)
        index = tf.pad(tf.reshape(index, [blocks * block, depth])[:users], missing, constant_values=-1)
        return {"index": tf.where(score == -np.inf, -1, index), "score": score}

    def predict(self, user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        """The predicted ratings, `float32[B]`, of B user ids and B titles."""
        return _predict(self.serving_default, user_id, movie_title)

    def save(self, folder: Path) -> None:
        """Write the SavedModel with its signatures into `folder`."""
        signatures = {
            SERVING_SIGNATURE: self.serving_default,
            RECOMMEND_SIGNATURE: self.recommend,
            KNOWN_SIGNATURE: self.known_users,
        }
        tf.saved_model.save(self, str(folder), signatures)

    def _title_half(self, movie_title: tf.Tensor) -> tf.Tensor:
        """`string[M]` -> `float32[M, H1]`, M at least 2."""
        return tf.matmul(tf.gather(self._title_embedding, self._title_rows.lookup(movie_title)), self._title_kernel)

    def _read_layers(self) -> list[tuple[tf.Tensor, tf.Tensor]]:
        """Kernel and bias of the layers after the first product."""
        layers = zip(self._kernels, self._biases, strict=True)
        return [(kernel.read_value(), bias.read_value()) for kernel, bias in layers]


def load_predictor(folder: Path) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The SavedModel in `folder` as a function like `Recommender.predict`."""
    model = tf.saved_model.load(str(folder))

    def predict(user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        return _predict(model.signatures[SERVING_SIGNATURE], user_id, movie_title)

    return predict


def _predict(serving: Callable[..., dict[str, tf.Tensor]], user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
    pairs = {USER_ID: tf.constant(user_id, tf.string), MOVIE_TITLE: tf.constant(movie_title, tf.string)}
    return serving(**pairs)[USER_RATING].numpy()


def _dense(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.matmul(inputs, kernel) + bias


def _score(hidden: tf.Tensor, layers: Sequence[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """`float32[P, H1]`, the first layer before its activation -> `float32[P]`, P at least 2."""
    for kernel, bias in layers:
        hidden = _dense(tf.nn.relu(hidden), kernel, bias)
    return tf.squeeze(hidden, axis=1)


def _vocabulary(words: Sequence[str]) -> tf.lookup.StaticHashTable:
    """From a word to its row, 1 for the first and 0 for any other.

    Keys are tensors in the graph rather than lines of an asset file: a title may hold a line break.
    """
    rows = tf.range(1, len(words) + 1, dtype=tf.int32)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(words), tf.string), rows)
    return tf.lookup.StaticHashTable(initializer, default_value=0)


def _constant(name: str, values: np.ndarray) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name)


def _ceil_div(dividend: tf.Tensor, divisor: tf.Tensor | int) -> tf.Tensor:
    return (dividend + divisor - 1) // divisor


def _at_least(size: tf.Tensor | int, values: tf.Tensor, filler: tf.Tensor | int | str = "") -> tf.Tensor:
    """`values`, made longer to `size` with `filler` where it is shorter."""
    short = tf.maximum(0, size - tf.size(values))
    return tf.concat([values, tf.fill([short], tf.cast(filler, values.dtype))], axis=0)
