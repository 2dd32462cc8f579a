"""The exported form of models whose scores and ratings are products of a user's vector and a title's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from model.retrieval.blocks import BlockChooser, BlockRater, Seen, Shape, UserTables, ceil_div
from model.retrieval.dot_product_top_k import best, halve
from model.retrieval.exact_dot_products import add_products, exact_scores, in_steps, widen
from model.retrieval.signatures import Recommender, constant

CANDIDATES_A_STEP = 24_576
"""Candidates scored at once, at most."""
CHUNK_MULTIPLE = 128
"""Their number is a multiple, so that shapes, each of which is compiled, are few."""
SCORES_A_STEP = 3 << 20
"""Scores of one block of users at once."""
USERS_A_STEP = (32, 64, 128, 256, 512, 1_024)
"""Users that a block may have."""


@dataclass(frozen=True)
class Factors:
    """Two tables of vectors, all float32; row 0 stands for what the vocabulary does not hold.

    The value of a pair is `user_vectors[u] . title_vectors[t] + title_bias[t]`. What depends on the user alone, which
    orders nothing, is a component of the vectors.
    """

    user_vectors: np.ndarray
    """`[users + 1, D]`"""
    title_vectors: np.ndarray
    """`[titles + 1, D]`"""
    title_bias: np.ndarray
    """`[titles + 1]`"""


@dataclass(frozen=True)
class DotWeights:
    """The arrays of a ranker by products of vectors."""

    user_ids: Sequence[str]
    movie_titles: Sequence[str]
    relevance: Factors
    """What scores are made of."""
    rating: Factors
    """What predicted ratings are made of; the same as `relevance` where titles are ranked by them."""
    rating_range: tuple[float, float]
    """Predicted ratings outside are brought to its ends, unless titles are ranked by them."""
    known: np.ndarray
    """`bool[users + 1]`: whether the row was trained on any interaction."""

    @property
    def ranks_by_rating(self) -> bool:
        """Whether scores are predicted ratings."""
        return self.relevance is self.rating

    @property
    def user_tables(self) -> Sequence[np.ndarray]:
        """See `model.retrieval.weights.Weights`; the last component, 1, is for the titles' bias."""
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
        """All that the model computes with, always in the same order."""
        for factors in (self.relevance, self.rating):
            yield from (factors.user_vectors, factors.title_vectors, factors.title_bias)
        yield from (np.array(self.rating_range, np.float32), self.known)


class DotRecommender(Recommender):
    """Scores are products of vectors: some sixty times cheaper a pair than the dense layers of the article.

    Where titles are ranked by ratings, the scores of `recommend` are the ratings of `serving_default` to the bit.
    """

    def __init__(self, weights: DotWeights) -> None:
        super().__init__(weights.user_ids, weights.movie_titles, weights.known, weights.user_tables)
        self._titles = _titles("relevance", weights.relevance)
        self._rated_titles = self._titles if weights.ranks_by_rating else _titles("rating", weights.rating, wide=True)
        # Brought to a range, the best titles would tie.
        self._rating_range = (-np.inf, np.inf) if weights.ranks_by_rating else weights.rating_range

    def rate(self, users: UserTables, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """See `Recommender`."""

        def rate_pairs(user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
            vectors = widen(tf.gather(users[-1], user_rows)), widen(tf.gather(self._rated_titles, title_rows))
            return self._in_range(add_products(vectors[0] * vectors[1]))

        return in_steps(rate_pairs, user_rows, title_rows)

    def rater(self, users: UserTables, title_rows: tf.Tensor) -> BlockRater | None:
        """See `Recommender`."""
        if self._rated_titles is self._titles:
            return None
        titles = self._rated_titles.read_value()

        def rate(rows: tf.Tensor, positions: tf.Tensor) -> tf.Tensor:
            block, depth = tf.unstack(tf.shape(positions))
            vectors = widen(tf.gather(users[-1], rows))
            places = tf.repeat(tf.range(block), depth)
            ratings = exact_scores(vectors, places, titles, tf.gather(title_rows, tf.reshape(positions, [-1])))
            return tf.reshape(self._in_range(ratings), [block, depth])

        return rate

    def _in_range(self, ratings: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(ratings, *self._rating_range)

    def block_shape(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Recommender`: all candidates at once or equal chunks of them."""
        chunk = ceil_div(candidates, ceil_div(candidates, CANDIDATES_A_STEP))
        chunk = ceil_div(chunk, CHUNK_MULTIPLE) * CHUNK_MULTIPLE
        # A power of two, as each shape is compiled once.
        sizes = tf.constant(USERS_A_STEP)
        return tf.reduce_max(tf.where(sizes * chunk <= SCORES_A_STEP, sizes, USERS_A_STEP[0])), chunk

    def chooser(self, users: UserTables, title_rows: tf.Tensor, shape: Shape) -> BlockChooser:
        """See `Recommender`; keeps the candidates' vectors, `float32[M, D + 1]`, and again in half precision."""
        k = tf.maximum(1, shape.depth)
        unknown = title_rows == 0
        # Titles unknown to the model tie, so that only the first of them can be among anyone's best.
        first = tf.cumsum(tf.cast(unknown, tf.int32)) <= k + shape.most_seen
        findable = (tf.range(tf.size(title_rows)) < shape.count) & (first | ~unknown)
        candidates = halve(tf.gather(self._titles, title_rows), findable, shape.chunk)

        def choose(rows: tf.Tensor, seen: Seen) -> tuple[tf.Tensor, tf.Tensor]:
            scores, positions = best(tf.gather(users[0], rows), candidates, seen, shape.most_seen > 0, k)
            return scores[:, : shape.depth], positions[:, : shape.depth]

        return choose


def _titles(name: str, factors: Factors, wide: bool = False) -> tf.Variable:
    """`float32[titles + 1, D + 1]`; as `widen` makes them, if `wide`."""
    vectors = np.column_stack([factors.title_vectors, factors.title_bias])
    return constant(f"{name}_titles", widen(vectors).numpy() if wide else vectors)
