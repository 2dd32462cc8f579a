"""The exported form of models whose scores and ratings are dot products of a user's vector and a title's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from model.retrieval.approximate_scores import prepare_candidates
from model.retrieval.blocks import BlockRater, BlockTopK, SearchSizes, Seen, TopK, ceil_div
from model.retrieval.dot_product_top_k import dot_product_top_k
from model.retrieval.exact_dot_products import exact_scores, in_batches, pad_to_lanes, sum_products
from model.retrieval.signatures import Recommender
from model.retrieval.tables import UserTables, constant

MAX_CHUNK = 24_576
"""Candidates that are scored at once, at most."""
CHUNK_MULTIPLE = 128
"""Chunks are a multiple of this, so that few shapes need to be compiled."""
MAX_SCORES = 3 << 20
"""Scores of one block of users and one chunk of candidates, at most."""
BLOCK_SIZES = (32, 64, 128, 256, 512, 1_024)
"""The numbers of users that a block may have. Each is compiled once, so there are few."""


@dataclass(frozen=True)
class Factors:
    """User factors and title factors, all float32; row 0 is for words outside the vocabulary.

    The value of a pair is `user_vectors[u] . title_vectors[t] + title_bias[t]`. A user's bias, which changes no order,
    is a component of the vectors.
    """

    user_vectors: np.ndarray
    """`[users + 1, D]`"""
    title_vectors: np.ndarray
    """`[titles + 1, D]`"""
    title_bias: np.ndarray
    """`[titles + 1]`"""


@dataclass(frozen=True)
class DotWeights:
    """The arrays of a ranker by dot products."""

    user_ids: Sequence[str]
    movie_titles: Sequence[str]
    relevance: Factors
    """Scores are values of these factors."""
    rating: Factors
    """Predicted ratings are values of these; the same object as `relevance` if titles are ranked by rating."""
    rating_range: tuple[float, float]
    """Predicted ratings are clipped to this range, unless titles are ranked by rating."""
    known: np.ndarray
    """`bool[users + 1]`: whether the training data had interactions of the user."""

    @property
    def ranks_by_rating(self) -> bool:
        """Whether scores are predicted ratings."""
        return self.relevance is self.rating

    @property
    def user_tables(self) -> Sequence[np.ndarray]:
        """See `model.retrieval.weights.Weights`. The last component is 1, for the titles' bias."""
        factors = [self.relevance] if self.ranks_by_rating else [self.relevance, self.rating]
        return [
            np.column_stack([table.user_vectors, np.ones(len(table.user_vectors), np.float32)]) for table in factors
        ]

    def without_users(self) -> DotWeights:
        """See `model.retrieval.weights.Weights`."""
        rating = replace(self.rating, user_vectors=self.rating.user_vectors[:1])
        relevance = replace(self.relevance, user_vectors=self.relevance.user_vectors[:1])
        return replace(
            self,
            user_ids=[],
            relevance=rating if self.ranks_by_rating else relevance,
            rating=rating,
            known=self.known[:1],
        )

    def arrays(self) -> Iterator[np.ndarray]:
        """See `model.retrieval.weights.Weights`."""
        for factors in (self.relevance, self.rating):
            yield from (factors.user_vectors, factors.title_vectors, factors.title_bias)
        yield from (np.array(self.rating_range, np.float32), self.known)


class DotRecommender(Recommender):
    """Scores are dot products, which cost about a sixtieth of the article's dense layers for each pair.

    If titles are ranked by rating, the scores of `recommend` are the ratings of `serving_default`, to the bit.
    """

    def __init__(self, weights: DotWeights) -> None:
        super().__init__(weights.user_ids, weights.movie_titles, weights.known, weights.user_tables)
        self._titles = _titles("relevance", weights.relevance)
        self._rated_titles = self._titles if weights.ranks_by_rating else _titles("rating", weights.rating, padded=True)
        # Clipped to a range, the best titles would tie.
        self._rating_range = (-np.inf, np.inf) if weights.ranks_by_rating else weights.rating_range

    def rate(self, users: UserTables, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """See `Recommender`."""

        def rate_pairs(user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
            user = pad_to_lanes(tf.gather(users[-1], user_rows))
            title = pad_to_lanes(tf.gather(self._rated_titles, title_rows))
            return self._in_range(sum_products(user * title))

        return in_batches(rate_pairs, user_rows, title_rows)

    def block_rater(self, users: UserTables, title_rows: tf.Tensor) -> BlockRater | None:
        """See `Recommender`."""
        if self._rated_titles is self._titles:
            return None
        titles = self._rated_titles.read_value()

        def rate(rows: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
            block, depth = tf.unstack(tf.shape(index))
            vectors = pad_to_lanes(tf.gather(users[-1], rows))
            user = tf.repeat(tf.range(block), depth)
            ratings = exact_scores(vectors, user, titles, tf.gather(title_rows, tf.reshape(index, [-1])))
            return tf.reshape(self._in_range(ratings), [block, depth])

        return rate

    def _in_range(self, ratings: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(ratings, *self._rating_range)

    def block_sizes(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Recommender`. All candidates are one chunk, or chunks of equal sizes."""
        chunk = ceil_div(candidates, ceil_div(candidates, MAX_CHUNK))
        chunk = ceil_div(chunk, CHUNK_MULTIPLE) * CHUNK_MULTIPLE
        blocks = tf.constant(BLOCK_SIZES)
        return tf.reduce_max(tf.where(blocks * chunk <= MAX_SCORES, blocks, BLOCK_SIZES[0])), chunk

    def block_top_k(self, users: UserTables, title_rows: tf.Tensor, sizes: SearchSizes) -> BlockTopK:
        """See `Recommender`. Keeps the candidates' vectors in float32, `float32[M, D + 1]`, and in bfloat16."""
        k = tf.maximum(1, sizes.depth)
        unknown = title_rows == 0
        # Titles unknown to the model have equal scores, so only the first few can be among anyone's best.
        first = tf.cumsum(tf.cast(unknown, tf.int32)) <= k + sizes.most_seen
        included = (tf.range(tf.size(title_rows)) < sizes.count) & (first | ~unknown)
        candidates = prepare_candidates(tf.gather(self._titles, title_rows), included, sizes.chunk)

        def top_k(rows: tf.Tensor, seen: Seen) -> TopK:
            scores, index = dot_product_top_k(tf.gather(users[0], rows), candidates, seen, sizes.most_seen > 0, k)
            return scores[:, : sizes.depth], index[:, : sizes.depth]

        return top_k


def _titles(name: str, factors: Factors, padded: bool = False) -> tf.Variable:
    """`float32[titles + 1, D + 1]`; through `pad_to_lanes` if `padded`."""
    vectors = np.column_stack([factors.title_vectors, factors.title_bias])
    return constant(f"{name}_titles", pad_to_lanes(vectors).numpy() if padded else vectors)
