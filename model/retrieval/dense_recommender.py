"""The exported form of the article's models: dense layers over the embeddings of user and title."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from model.retrieval.block_search import Request
from model.retrieval.blocks import (
    BlockScorer,
    BlockTopK,
    ChunkScorer,
    SearchSizes,
    Seen,
    TopK,
    ceil_div,
    mask_seen,
    pad_to,
    score_all,
)
from model.retrieval.dense_bounds import enclose
from model.retrieval.dense_top_k import ShortlistSearch, replace_unproven, shortlist_search, shortlist_size
from model.retrieval.signatures import Recommender
from model.retrieval.tables import UserTables, constant

USERS_PER_BLOCK = 32
"""Users that one compiled call scores, one after the other: enough to make the cost of a call small."""
MAX_CHUNK = 4_096
"""Candidates in one pass through the dense layers. The first hidden layer, 256 floats each, then takes 4 MiB."""
FIRST_LAYER_ROWS = 64
"""Products of the first layer have a multiple of this many rows. On CPUs without AVX-512 a row of a product of 32
rows is summed in an order that depends on its place."""
ROW_MULTIPLE = 64
"""Each pass is padded to a multiple of this many rows. Left-over rows would use kernels that sum in another order."""
MIN_PROVEN_SHARE = 0.5
"""Shortlists are used if they are proven for at least this share of users. Bounds and shortlists cost a fifth to a
quarter of scoring everything, and an unproven user costs both."""
MIN_CANDIDATES_PER_SHORTLISTED = 4
"""Shortlists are used if there are at least this many candidates for each one on the list; else they gain nothing."""
BOUNDED_LAYERS = 2
"""There are bounds for networks with this many layers after the first."""

UserHalf = Callable[[tf.Tensor], tf.Tensor]
"""Rows of users, `int32[B]` -> their halves of the first layer with its bias, `float32[B, H1]`."""


@dataclass(frozen=True)
class DenseWeights:
    """The arrays of a trained two-embedding ranker, all float32.

    Row 0 of both embeddings is for words outside the vocabulary; row i + 1 is for word i.
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
    """`bool[users + 1]`: whether the training data had interactions of the user."""

    @property
    def user_tables(self) -> Sequence[np.ndarray]:
        """See `model.retrieval.weights.Weights`."""
        return [self.user_embedding]

    def without_users(self) -> DenseWeights:
        """See `model.retrieval.weights.Weights`."""
        return replace(self, user_ids=[], user_embedding=self.user_embedding[:1], known=self.known[:1])

    def arrays(self) -> Iterator[np.ndarray]:
        """See `model.retrieval.weights.Weights`."""
        yield from (self.user_embedding, self.title_embedding, *self.kernels, *self.biases, self.known)


class _Search(NamedTuple):
    """How one call finds the best candidates."""

    user_half: UserHalf
    score_users: Callable[[tf.Tensor], ChunkScorer]
    """Halves of users, `float32[B, H1]` -> their `ChunkScorer`."""
    search_shortlist: ShortlistSearch
    use_shortlist: tf.Tensor
    """`bool`, whether shortlists are proven for enough of a sample of users who have seen nothing."""


class DenseRecommender(Recommender):
    """Scores are predicted ratings.

    The first dense layer takes the concatenation of two embeddings, so its product is the sum of a user half and a
    candidate half. Each half is computed once for each user and once for each candidate, not once for each pair. What
    remains of a pair's cost is the second layer (2 x 256 x 64 floating-point operations in the article's model).

    Networks with two hidden layers, as in the article, skip the second layer too for most pairs. An upper bound on a
    user's scores (see `dense_bounds`) costs a tenth of a score. The candidates with the highest bounds form a
    shortlist, which is scored. If the highest bound outside the shortlist is below the k-th best score, the best of
    the shortlist are the best of all, to the bit. For other users all candidates are scored. Each call first tries
    shortlists on a sample of users from the whole table: with random weights, for example, the bounds prove nothing.

    XLA compiles the layers, once for each process and shape. It works on one user at a time, so that what passes
    between layers stays in the cache.

    Equal titles get equal scores, in `recommend` and in `serving_default`: a row of a matrix product has the same bits
    whatever the other rows are. This holds for multiples of `ROW_MULTIPLE` rows, so every pass has such a number.
    Without XLA, the last bits of a score would differ.
    """

    def __init__(self, weights: DenseWeights) -> None:
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
        # Padded to a power of two, because each size is compiled once and requests have many sizes.
        exponent = tf.cast(
            tf.math.ceil(tf.math.log(tf.cast(tf.maximum(pairs, ROW_MULTIPLE), tf.float64)) / np.log(2)), tf.int32
        )
        size = tf.bitwise.left_shift(1, exponent)
        user_rows, title_rows = pad_to(size, user_rows, filler=0), pad_to(size, title_rows, filler=0)
        user_half = _first_layer(users[0], user_rows, self._user_kernel) + self._first_bias
        return _score(ROW_MULTIPLE, user_half + self._title_half(title_rows), *self._read_layers())[:pairs]

    def block_sizes(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Recommender`. The chunks of candidates have equal sizes."""
        chunk = ceil_div(candidates, ceil_div(candidates, MAX_CHUNK))
        return tf.constant(USERS_PER_BLOCK), ceil_div(chunk, ROW_MULTIPLE) * ROW_MULTIPLE

    def block_scorer(self, users: UserTables, title_rows: tf.Tensor, sizes: SearchSizes) -> BlockScorer:
        """See `Recommender`. Keeps the candidates' halves, `float32[M, H1]`."""
        user_half = self._user_halves(users)
        score_users = self._score_users(self._title_half(title_rows), sizes.chunk)
        return lambda rows: score_users(user_half(rows))

    def block_top_k(self, users: UserTables, title_rows: tf.Tensor, sizes: SearchSizes) -> BlockTopK:
        """See `Recommender`. Scores shortlists where that pays."""
        if len(self._kernels) != BOUNDED_LAYERS:
            return super().block_top_k(users, title_rows, sizes)
        user_half, score_users, search_shortlist, use_shortlist = self._search(users, title_rows, sizes)

        def search_all(halves: tf.Tensor, seen: Seen) -> TopK:
            best = tf.math.top_k(mask_seen(score_all(score_users(halves), sizes), seen), sizes.depth)
            return best.values, best.indices

        def top_k(rows: tf.Tensor, seen: Seen) -> TopK:
            halves = user_half(rows)

            def search_all_for_user(user: tf.Tensor) -> TopK:
                return search_all(halves[user : user + 1], seen.row(user))

            return tf.cond(
                use_shortlist,
                lambda: replace_unproven(search_shortlist(halves, seen), search_all_for_user),
                lambda: search_all(halves, seen),
            )

        return top_k

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, "user_id"),
            tf.TensorSpec([None], tf.string, "candidates"),
            tf.TensorSpec([], tf.int32, "k"),
        ]
    )
    def pairs_scored(self, user_id: tf.Tensor, candidates: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """How many candidates `recommend` scores for each user who has seen nothing: `pairs: int32[B]`.

        It takes as long as `recommend`, so ask about a sample of users.
        """
        request = Request(candidates, tf.zeros([0], tf.int32), tf.zeros([1], tf.int64), k)
        title_rows, sizes = self.prepare(request)
        if len(self._kernels) != BOUNDED_LAYERS:
            return {"pairs": tf.fill(tf.shape(user_id), sizes.count)}
        user_half, _, search_shortlist, use_shortlist = self._search(self.own_users(), title_rows, sizes)
        blocks = ceil_div(tf.size(user_id), sizes.block)
        rows = tf.reshape(self.user_rows.lookup(pad_to(blocks * sizes.block, user_id)), [blocks, sizes.block])
        shortlist = shortlist_size(sizes, ROW_MULTIPLE)

        def of_block(rows: tf.Tensor) -> tf.Tensor:
            proven = search_shortlist(user_half(rows), Seen.nothing(sizes.block)).proven
            return tf.where(proven, shortlist, shortlist + sizes.count)

        pairs = tf.cond(
            use_shortlist,
            lambda: tf.map_fn(of_block, rows, fn_output_signature=tf.int32),
            lambda: tf.fill(tf.shape(rows), sizes.count),
        )
        return {"pairs": tf.reshape(pairs, [-1])[: tf.size(user_id)]}

    def _search(self, users: UserTables, title_rows: tf.Tensor, sizes: SearchSizes) -> _Search:
        titles_half, layers = self._title_half(title_rows), self._read_layers()
        embeddings = tf.gather(self._title_embedding, title_rows[: sizes.count])
        enclosure = enclose(embeddings, self._title_kernel, titles_half[: sizes.count])
        search_shortlist = shortlist_search(
            titles_half, enclosure, lambda hidden: _score(ROW_MULTIPLE, hidden, *layers), layers, sizes, ROW_MULTIPLE
        )
        user_half = self._user_halves(users)
        user_count = tf.shape(users[0])[0]

        def proves_enough() -> tf.Tensor:
            sample = tf.range(sizes.block) * tf.maximum(1, user_count // sizes.block) % user_count
            proven = search_shortlist(user_half(sample), Seen.nothing(sizes.block)).proven
            return tf.reduce_mean(tf.cast(proven, tf.float32)) >= MIN_PROVEN_SHARE

        shortlist = shortlist_size(sizes, ROW_MULTIPLE)
        enough = tf.logical_and(sizes.depth > 0, MIN_CANDIDATES_PER_SHORTLISTED * shortlist <= sizes.count)
        use_shortlist = tf.cond(enough, proves_enough, lambda: False)
        return _Search(user_half, self._score_users(titles_half, sizes.chunk), search_shortlist, use_shortlist)

    def _user_halves(self, users: UserTables) -> UserHalf:
        embedding, kernel, bias = users[0], self._user_kernel.read_value(), self._first_bias.read_value()

        def user_half(rows: tf.Tensor) -> tf.Tensor:
            return _first_layer(embedding, rows, kernel) + bias

        return user_half

    def _score_users(self, titles_half: tf.Tensor, chunk: tf.Tensor) -> Callable[[tf.Tensor], ChunkScorer]:
        layers = self._read_layers()

        def score_users(halves: tf.Tensor) -> ChunkScorer:
            return lambda start: _score_users(ROW_MULTIPLE, halves, titles_half[start : start + chunk], *layers)

        return score_users

    def _title_half(self, title_rows: tf.Tensor) -> tf.Tensor:
        """`int32[M]` -> `float32[M, H1]`; M is at least 2."""
        return _first_layer(self._title_embedding, title_rows, self._title_kernel)

    def _read_layers(self) -> list[tf.Tensor]:
        """Kernel and bias of each layer after the first."""
        layers = zip(self._kernels, self._biases, strict=True)
        return [variable.read_value() for layer in layers for variable in layer]


def _first_layer(embedding: tf.Tensor, rows: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The product of `int32[B]` rows of an embedding and a half of the first kernel: `float32[B, H1]`.

    Its bits depend neither on the place of a row nor on the other rows, because the product has whole multiples of
    `FIRST_LAYER_ROWS`.
    """
    count = tf.size(rows)
    padded = pad_to(ceil_div(count, FIRST_LAYER_ROWS) * FIRST_LAYER_ROWS, rows, filler=0)
    return tf.matmul(tf.gather(embedding, padded), kernel)[:count]


def _dense(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.matmul(inputs, kernel) + bias


@tf.function(jit_compile=True)
def _score(tile: int, hidden: tf.Tensor, *layers: tf.Tensor) -> tf.Tensor:
    """`float32[P, H1]`, the first layer before its activation -> `float32[P]`. P is a multiple of `tile`.

    `tile` rows at a time: in products of other sizes, some CPUs sum in another order.
    """

    def score_tile(hidden: tf.Tensor) -> tf.Tensor:
        for kernel, bias in zip(layers[::2], layers[1::2], strict=True):
            hidden = _dense(tf.nn.relu(hidden), kernel, bias)
        return tf.squeeze(hidden, axis=1)

    tiles = tf.reshape(hidden, [-1, tile, hidden.shape[1]])
    return tf.reshape(tf.map_fn(score_tile, tiles, fn_output_signature=tf.float32), [-1])


@tf.function(jit_compile=True)
def _score_users(tile: int, user_half: tf.Tensor, titles_half: tf.Tensor, *layers: tf.Tensor) -> tf.Tensor:
    """`float32[B, H1]` and `float32[M, H1]` -> `float32[B, M]`. M is a multiple of `tile`."""
    return tf.map_fn(lambda half: _score(tile, half + titles_half, *layers), user_half, fn_output_signature=tf.float32)
