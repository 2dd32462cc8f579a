"""The exported form of the article's models: dense layers over the embeddings of user and title."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from model.recommender import BlockScorer, ChunkScorer, Recommender, at_least, ceil_div, constant

USERS_A_BLOCK = 32
"""Users that one compiled call scores, one after the other: enough that starting calls costs little."""
ROWS_A_STEP = 4_096
"""Candidates scored by one pass through the dense layers; the first hidden layer, 256 floats each, is then 4 MiB."""
ROW_MULTIPLE = 64
"""Rows of a pass are padded to a multiple, as what is left over takes kernels that sum in another order."""


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

    def arrays(self) -> Iterator[np.ndarray]:
        """All that the model computes with, always in the same order."""
        yield from (self.user_embedding, self.title_embedding, *self.kernels, *self.biases, self.known)


class DenseRecommender(Recommender):
    """Scores are predicted ratings.

    The first dense layer works on the concatenation of two embeddings, so its product is the sum of a user half and a
    candidate half. Each half is computed once for a user and once for a candidate rather than once a pair, which
    leaves the second layer as the cost of a pair (2 x 256 x 64 floating-point operations in the article's model).

    The layers are compiled by XLA, once a process and shape: a user at a time, so that what passes from layer to layer
    stays in the cache.

    Ties are kept: a row of a matrix product comes out with the same bits whatever rows stand beside it, so titles
    that the model cannot tell apart get equal scores, in `recommend` and `serving_default` alike. That holds for whole
    multiples of `ROW_MULTIPLE` rows, which is what passes here always have.
    """

    def __init__(self, weights: RankerWeights) -> None:
        super().__init__(weights.user_ids, weights.movie_titles, weights.known)
        self._user_embedding = constant("user_embedding", weights.user_embedding)
        self._title_embedding = constant("title_embedding", weights.title_embedding)
        dimension = weights.user_embedding.shape[1]
        self._user_kernel = constant("user_kernel", weights.kernels[0][:dimension])
        self._title_kernel = constant("title_kernel", weights.kernels[0][dimension:])
        self._first_bias = constant("first_bias", weights.biases[0])
        self._kernels = [constant(f"kernel_{i}", kernel) for i, kernel in enumerate(weights.kernels[1:], 2)]
        self._biases = [constant(f"bias_{i}", bias) for i, bias in enumerate(weights.biases[1:], 2)]

    def rate(self, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """See `Recommender`."""
        pairs = tf.size(user_rows)
        # A power of two: each size is compiled once, and sizes are many.
        steps = tf.cast(
            tf.math.ceil(tf.math.log(tf.cast(tf.maximum(pairs, ROW_MULTIPLE), tf.float64)) / np.log(2)), tf.int32
        )
        size = tf.bitwise.left_shift(1, steps)
        user_rows, title_rows = at_least(size, user_rows, filler=0), at_least(size, title_rows, filler=0)
        user_half = _dense(tf.gather(self._user_embedding, user_rows), self._user_kernel, self._first_bias)
        return _score(user_half + self._title_half(title_rows), *self._read_layers())[:pairs]

    def block_shape(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Recommender`: a block of users, and their candidates in equal chunks."""
        chunk = ceil_div(candidates, ceil_div(candidates, ROWS_A_STEP))
        return tf.constant(USERS_A_BLOCK), ceil_div(chunk, ROW_MULTIPLE) * ROW_MULTIPLE

    def scorer(self, title_rows: tf.Tensor, block: tf.Tensor, chunk: tf.Tensor) -> BlockScorer:
        """See `Recommender`; keeps the candidates' halves, `float32[M, H1]`."""
        titles_half = self._title_half(title_rows)
        layers = self._read_layers()
        user_embedding, user_kernel, first_bias = (
            variable.read_value() for variable in (self._user_embedding, self._user_kernel, self._first_bias)
        )

        def score_block(rows: tf.Tensor) -> ChunkScorer:
            rows = at_least(2, rows, filler=0)
            user_half = _dense(tf.gather(user_embedding, rows), user_kernel, first_bias)[:block]

            def score_chunk(start: tf.Tensor) -> tf.Tensor:
                return _score_users(user_half, titles_half[start : start + chunk], *layers)

            return score_chunk

        return score_block

    def _title_half(self, title_rows: tf.Tensor) -> tf.Tensor:
        """`int32[M]` -> `float32[M, H1]`, M at least 2."""
        return tf.matmul(tf.gather(self._title_embedding, title_rows), self._title_kernel)

    def _read_layers(self) -> list[tf.Tensor]:
        """Kernel and bias of each layer after the first product."""
        layers = zip(self._kernels, self._biases, strict=True)
        return [variable.read_value() for layer in layers for variable in layer]


def _dense(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.matmul(inputs, kernel) + bias


@tf.function(jit_compile=True)
def _score(hidden: tf.Tensor, *layers: tf.Tensor) -> tf.Tensor:
    """`float32[P, H1]`, the first layer before its activation -> `float32[P]`, P a multiple of `ROW_MULTIPLE`."""
    for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
        hidden = _dense(tf.nn.relu(hidden), kernel, bias)
    return tf.squeeze(hidden, axis=1)


@tf.function(jit_compile=True)
def _score_users(user_half: tf.Tensor, titles_half: tf.Tensor, *layers: tf.Tensor) -> tf.Tensor:
    """`float32[B, H1]` and `float32[M, H1]` -> `float32[B, M]`, M a multiple of `ROW_MULTIPLE`."""
    return tf.map_fn(lambda half: _score(half + titles_half, *layers), user_half, fn_output_signature=tf.float32)
