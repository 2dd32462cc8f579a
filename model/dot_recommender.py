"""The exported form of models whose scores and ratings are products of a user's vector and a title's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from model.recommender import BlockScorer, ChunkScorer, Recommender, at_least, constant

SCORES_A_STEP = 1 << 19
"""Scores of one block of users, 2 MiB: what a core's second-level cache holds."""
USERS_A_STEP = (16, 512)
"""At least, however many candidates, as a product with fewer rows waits for memory; at most, however few."""


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

    def arrays(self) -> Iterator[np.ndarray]:
        """All that the model computes with, always in the same order."""
        for factors in (self.relevance, self.rating):
            yield from (factors.user_vectors, factors.title_vectors, factors.title_bias)
        yield from (np.array(self.rating_range, np.float32), self.known)


class DotRecommender(Recommender):
    """Scores are products of vectors: hundreds of times cheaper a pair than dense layers."""

    def __init__(self, weights: DotWeights) -> None:
        super().__init__(weights.user_ids, weights.movie_titles, weights.known)
        self._relevance = _Variables("relevance", weights.relevance)
        self._rating = self._relevance if weights.ranks_by_rating else _Variables("rating", weights.rating)
        # Brought to a range, the best titles would tie.
        self._rating_range = (-np.inf, np.inf) if weights.ranks_by_rating else weights.rating_range

    def rate(self, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """See `Recommender`."""
        users = tf.gather(self._rating.user_vectors, user_rows)
        titles = tf.gather(self._rating.title_vectors, title_rows)
        ratings = tf.reduce_sum(users * titles, axis=1) + tf.gather(self._rating.title_bias, title_rows)
        return tf.clip_by_value(ratings, *self._rating_range)

    def block_shape(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See `Recommender`: all candidates at once, for as many users as `SCORES_A_STEP` has room for."""
        least, most = USERS_A_STEP
        return tf.clip_by_value(SCORES_A_STEP // candidates, least, most), candidates

    def scorer(self, title_rows: tf.Tensor, block: tf.Tensor, chunk: tf.Tensor) -> BlockScorer:
        """See `Recommender`; keeps the candidates' vectors, `float32[M, D]`."""
        titles = tf.gather(self._relevance.title_vectors, title_rows)
        bias = tf.gather(self._relevance.title_bias, title_rows)
        user_vectors = self._relevance.user_vectors.read_value()

        def score_block(rows: tf.Tensor) -> ChunkScorer:
            users = tf.gather(user_vectors, at_least(2, rows, filler=0))

            def score_chunk(start: tf.Tensor) -> tf.Tensor:
                scores = tf.matmul(users, titles[start : start + chunk], transpose_b=True)
                return scores[:block] + bias[start : start + chunk]

            return score_chunk

        return score_block


class _Variables(tf.Module):
    def __init__(self, name: str, factors: Factors) -> None:
        super().__init__(name)
        self.user_vectors = constant(f"{name}_user_vectors", factors.user_vectors)
        self.title_vectors = constant(f"{name}_title_vectors", factors.title_vectors)
        self.title_bias = constant(f"{name}_title_bias", factors.title_bias)
