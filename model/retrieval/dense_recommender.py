"""The exported form of the article's models: dense layers over the embeddings of user and title."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.retrieval.blocks import (
    BlockChooser,
    BlockScorer,
    ChunkScorer,
    Seen,
    Shape,
    UserTables,
    all_scores,
    at_least,
    ceil_div,
    without,
)
from model.retrieval.dense_bounds import spread
from model.retrieval.dense_top_k import Best, Narrower, complete, kept, narrower
from model.retrieval.signatures import Recommender, constant

USERS_A_BLOCK = 32
"""Users that one compiled call scores, one after the other: enough that starting calls costs little."""
ROWS_A_STEP = 4_096
"""Candidates scored by one pass through the dense layers; the first hidden layer, 256 floats each, is then 4 MiB."""
ROW_MULTIPLE = 64
"""Rows of a pass are padded to a multiple, as what is left over takes kernels that sum in another order."""
PAYS_FROM = 0.5
"""The share of users whose best must be proven for bounds to be used: bounds, and the scores of what they leave, cost
a fifth to a quarter of all scores, and a user whose best are not proven pays for both."""
LEAST_TO_KEPT = 4
"""Candidates there must be for each one kept; with fewer there is nothing to gain."""

UserHalf = Callable[[tf.Tensor], tf.Tensor]
"""Rows of users, `int32[B]` -> their halves of the first layer with its bias, `float32[B, H1]`."""

NARROWED_LAYERS = 2
"""Layers after the first for which there are bounds."""


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

    @property
    def user_tables(self) -> Sequence[np.ndarray]:
        """See `model.retrieval.weights.Weights`."""
        return [self.user_embedding]

    def without_users(self) -> RankerWeights:
        """See `model.retrieval.weights.Weights`."""
        return replace(self, user_ids=[], user_embedding=self.user_embedding[:1], known=self.known[:1])

    def arrays(self) -> Iterator[np.ndarray]:
        """All that the model computes with, always in the same order."""
        yield from (self.user_embedding, self.title_embedding, *self.kernels, *self.biases, self.known)


class _Search(NamedTuple):
    user_half: UserHalf
    score_users: Callable[[tf.Tensor], ChunkScorer]
    """Halves of users, `float32[B, H1]` -> their `ChunkScorer`."""
    narrow: Narrower
    pays: tf.Tensor
    """`bool`, whether bounds prove the best of enough of a block of users who have seen nothing."""


class DenseRecommender(Recommender):
    """Scores are predicted ratings.

    The first dense layer works on the concatenation of two embeddings, so its product is the sum of a user half and a
    candidate half. Each half is computed once for a user and once for a candidate rather than once a pair, which
    leaves the second layer as the cost of a pair (2 x 256 x 64 floating-point operations in the article's model).

    With two hidden layers, as the article's, most pairs are spared that too. A bound that no score of the user exceeds
    (see `dense_bounds`) costs a tenth of a score; the candidates with the highest bounds are scored, and where the
    highest bound left out is less than the worst of the k best scores, they are the best, to the bit. Users of whom
    that is not so get all candidates scored. Whether bounds are used at all is tried once a call, on a block of users
    spread over the tables: with random weights they prove nothing.

    The layers are compiled by XLA, once a process and shape: a user at a time, so that what passes from layer to layer
    stays in the cache.

    Ties are kept: a row of a matrix product comes out with the same bits whatever rows stand beside it, so titles
    that the model cannot tell apart get equal scores, in `recommend` and `serving_default` alike. That holds for whole
    multiples of `ROW_MULTIPLE` rows, which is what passes here always have. Without XLA the last bits of a score would
    be others.
    """

    def __init__(self, weights: RankerWeights) -> None:
        super().__init__(weights.user_ids, weights.movie_titles, weights.known, weights.user_tables)
        self._title_embedding = constant("title_embedding", weights.title_embedding)
        dimension = weights.user_embedding.shape[1]
        self._user_kernel = constant("user_kernel", weights.kernels[0][:dimension])
        self._title_kernel = constant("title_kernel", weights.kernels[0][dimension:])
        self._first_bias = constant("first_bias", weights.biases[0])
        self._kernels = [constant(f"kernel_{i}", kernel) for i, kernel in enumerate(weights.kernels[1:], 2)]
        self._biases = [constant(f"bias_{i}", bias) for i, bias in enumerate(weights.biases[1:], 2)]

    def rate(self, users: UserTables, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """See `Recommender`."""
        pairs = tf.size(user_rows)
        # A power of two: each size is compiled once, and sizes are many.
        steps = tf.cast(
            tf.math.ceil(tf.math.log(tf.cast(tf.maximum(pairs, ROW_MULTIPLE), tf.float64)) / np.log(2)), tf.int32
        )
        size = tf.bitwise.left_shift(1, steps)
        user_rows, title_rows = at_least(size, user_rows, filler=0), at_least(size, title_rows, filler=0)
        user_half = _dense(tf.gather(users[0], user_rows), self._user_kernel, self._first_bias)
        return _score(user_half + self._title_half(title_rows), *self._read_layers())[:pairs]

    def block_shape(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Recommender`: a block of users, and their candidates in equal chunks."""
        chunk = ceil_div(candidates, ceil_div(candidates, ROWS_A_STEP))
        return tf.constant(USERS_A_BLOCK), ceil_div(chunk, ROW_MULTIPLE) * ROW_MULTIPLE

    def scorer(self, users: UserTables, title_rows: tf.Tensor, block: tf.Tensor, chunk: tf.Tensor) -> BlockScorer:
        """See `Recommender`; keeps the candidates' halves, `float32[M, H1]`."""
        user_half = self._user_halves(users)
        score_users = self._score_users(self._title_half(title_rows), chunk)
        return lambda rows: score_users(user_half(rows))

    def chooser(self, users: UserTables, title_rows: tf.Tensor, shape: Shape) -> BlockChooser:
        """See `Recommender`; scores what bounds leave, where they pay."""
        if len(self._kernels) != NARROWED_LAYERS:
            return super().chooser(users, title_rows, shape)
        user_half, score_users, narrow, pays = self._search(users, title_rows, shape)

        def best_of_all(halves: tf.Tensor, seen: Seen) -> Best:
            best = tf.math.top_k(without(seen, all_scores(score_users(halves), shape)), shape.depth)
            return best.values, best.indices

        def choose(rows: tf.Tensor, seen: Seen) -> Best:
            halves = user_half(rows)

            def best_of_one(user: tf.Tensor) -> Best:
                return best_of_all(halves[user : user + 1], seen.of_user(user))

            return tf.cond(
                pays,
                lambda: complete(narrow(halves, seen), best_of_one),
                lambda: best_of_all(halves, seen),
            )

        return choose

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "user_id"),
            tf.TensorSpec([None], tf.string, "candidates"),
            tf.TensorSpec([], tf.int32, "k"),
        ]
    )
    def pairs_scored(self, user_id: tf.Tensor, candidates: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """How many candidates `recommend` scores of each user who has seen nothing: `pairs: int32[B]`.

        To be asked about some users: it takes as long as finding what they are recommended.
        """
        title_rows, shape = self.prepare(candidates, k, most_seen=tf.constant(0))
        if len(self._kernels) != NARROWED_LAYERS:
            return {"pairs": tf.fill(tf.shape(user_id), shape.count)}
        user_half, _, narrow, pays = self._search(self.own_users(), title_rows, shape)
        blocks = ceil_div(tf.size(user_id), shape.block)
        rows = tf.reshape(self.user_rows.lookup(at_least(blocks * shape.block, user_id)), [blocks, shape.block])
        keep = kept(shape, ROW_MULTIPLE)

        def of_block(rows: tf.Tensor) -> tf.Tensor:
            return tf.where(narrow(user_half(rows), Seen.nothing(shape.block)).proven, keep, keep + shape.count)

        pairs = tf.cond(
            pays,
            lambda: tf.map_fn(of_block, rows, fn_output_signature=tf.int32),
            lambda: tf.fill(tf.shape(rows), shape.count),
        )
        return {"pairs": tf.reshape(pairs, [-1])[: tf.size(user_id)]}

    def _search(self, users: UserTables, title_rows: tf.Tensor, shape: Shape) -> _Search:
        """What a call of `recommend` finds the best with."""
        titles_half, layers = self._title_half(title_rows), self._read_layers()
        embeddings = tf.gather(self._title_embedding, title_rows[: shape.count])
        reach = spread(embeddings, self._title_kernel, titles_half[: shape.count])
        narrow = narrower(titles_half, reach, lambda hidden: _score(hidden, *layers), layers, shape, ROW_MULTIPLE)
        user_half = self._user_halves(users)
        there = tf.shape(users[0])[0]

        def pay() -> tf.Tensor:
            sample = tf.range(shape.block) * tf.maximum(1, there // shape.block) % there
            proven = narrow(user_half(sample), Seen.nothing(shape.block)).proven
            return tf.reduce_mean(tf.cast(proven, tf.float32)) >= PAYS_FROM

        many = tf.logical_and(shape.depth > 0, LEAST_TO_KEPT * kept(shape, ROW_MULTIPLE) <= shape.count)
        pays = tf.cond(many, pay, lambda: False)
        return _Search(user_half, self._score_users(titles_half, shape.chunk), narrow, pays)

    def _user_halves(self, users: UserTables) -> UserHalf:
        embedding, kernel, bias = users[0], self._user_kernel.read_value(), self._first_bias.read_value()

        def user_half(rows: tf.Tensor) -> tf.Tensor:
            at_least_two = at_least(2, rows, filler=0)
            return _dense(tf.gather(embedding, at_least_two), kernel, bias)[: tf.size(rows)]

        return user_half

    def _score_users(self, titles_half: tf.Tensor, chunk: tf.Tensor) -> Callable[[tf.Tensor], ChunkScorer]:
        """Halves of users, `float32[B, H1]` -> their `ChunkScorer`."""
        layers = self._read_layers()

        def score_users(halves: tf.Tensor) -> ChunkScorer:
            return lambda start: _score_users(halves, titles_half[start : start + chunk], *layers)

        return score_users

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
