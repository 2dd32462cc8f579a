"""What is exported: a `tf.Module` that rates pairs and finds each user's best candidates, whatever its scores are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from model.contract import (
    KNOWN,
    MOVIE_TITLE,
    RECOMMEND_RATED_SIGNATURE,
    RECOMMEND_SIGNATURE,
    RECOMMEND_VECTORS_SIGNATURE,
    SERVING_SIGNATURE,
    UNKNOWN_USER_SIGNATURE,
    USER_ID,
    USER_RATING,
    USER_VECTOR,
)
from model.retrieval.blocks import (
    BlockChooser,
    BlockRater,
    BlockScorer,
    Seen,
    Shape,
    UserTables,
    all_scores,
    at_least,
    ceil_div,
    without,
)

STEPS_IN_FLIGHT = 8
"""Blocks of users that may be worked on at once. With one thread an operation and one operation a core, whole blocks
run side by side, which splits better over cores than the threads inside one small matrix product do."""

_REQUEST = (
    tf.TensorSpec([None], tf.string, "candidates"),
    tf.TensorSpec([None], tf.int32, "seen_values"),
    tf.TensorSpec([None], tf.int64, "seen_row_splits"),
    tf.TensorSpec([], tf.int32, "k"),
)
"""What users are asked about."""


class Recommender(tf.Module):
    """An exported model: needs TensorFlow alone, holds its vocabularies, runs no Python.

    Args:
      user_ids: the vocabulary of users; user i has row i + 1, and row 0 is for every other.
      movie_titles: likewise.
      known: `bool[users + 1]`, whether the row was trained on any interaction.
      user_tables: what becomes `UserTables`, `float32[users + 1, ..]` each.
    """

    def __init__(
        self,
        user_ids: Sequence[str],
        movie_titles: Sequence[str],
        known: np.ndarray,
        user_tables: Sequence[np.ndarray],
    ) -> None:
        super().__init__()
        self.user_rows = vocabulary(user_ids)
        self.title_rows = vocabulary(movie_titles)
        self._known = constant("known", known)
        self._user_tables = [constant(f"user_table_{number}", table) for number, table in enumerate(user_tables, 1)]
        # One function that all signatures call, as each that has its own graph takes a share of the time of loading.
        tables = [tf.TensorSpec([None, *table.shape[1:]], tf.float32) for table in user_tables]
        self._recommend = tf.function(
            self._best_of_users, input_signature=[tables, tf.TensorSpec([None], tf.int32), *_REQUEST]
        )

    @abstractmethod
    def rate(self, users: UserTables, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """Two `int32[B]` -> `float32[B]`, the predicted rating of each pair; B at least 2."""

    def rater(self, users: UserTables, title_rows: tf.Tensor) -> BlockRater | None:
        """What rates candidates, in rows `int32[M]`, for a block of users; here none, as scores are ratings.

        It gives the bits that `rate` would, and is made once a call, like `scorer`.
        """
        return None

    @abstractmethod
    def block_shape(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How many users, and how many of so many candidates (at least 2), are scored by one step."""

    def prepare(self, candidates: tf.Tensor, k: tf.Tensor, most_seen: tf.Tensor) -> tuple[tf.Tensor, Shape]:
        """Rows of the candidates, `int32[M]`, padded to whole chunks, and the shape of a call for the k best."""
        count = tf.size(candidates)
        block, chunk = self.block_shape(tf.maximum(2, count))
        chunks = tf.maximum(1, ceil_div(count, chunk))
        title_rows = self.title_rows.lookup(at_least(chunk * chunks, candidates))
        return title_rows, Shape(block, chunk, count, tf.minimum(k, count), most_seen)

    def chooser(self, users: UserTables, title_rows: tf.Tensor, shape: Shape) -> BlockChooser:
        """What finds the best candidates, in rows `int32[M]`, of a block of users; here by scoring all of them.

        It is made once a call, like `scorer`.
        """
        score_block = self.scorer(users, title_rows, shape.block, shape.chunk)

        def choose(rows: tf.Tensor, seen: Seen) -> tuple[tf.Tensor, tf.Tensor]:
            scores = all_scores(score_block(rows), shape)
            # Of equal scores top_k takes the lower position first, which is the order promised.
            best = tf.math.top_k(without(seen, scores), shape.depth)
            return best.values, best.indices

        return choose

    def scorer(self, users: UserTables, title_rows: tf.Tensor, block: tf.Tensor, chunk: tf.Tensor) -> BlockScorer:
        """What scores users against the candidates in rows `int32[M]`; needed only where `chooser` is as it is here.

        It is made once a call: what it needs of tables and variables is read here, because reading them inside the
        loop over blocks would make TensorFlow run the blocks in turn.
        """
        raise NotImplementedError

    def own_users(self) -> UserTables:
        """The tables that the model was made with, whose rows `user_rows` has."""
        return [table.read_value() for table in self._user_tables]

    def given_users(self, user_vector: tf.Tensor) -> tuple[UserTables, tf.Tensor]:
        """`float32[B, W]`, W the width of all tables side by side -> tables, and rows of the B users in them.

        Row 0 is the unknown user's, as in the model's own.
        """
        users = tf.range(1, 1 + tf.shape(user_vector)[0])
        both = tf.concat([self.unknown_user()[USER_VECTOR], user_vector], axis=0)
        return tf.split(both, [table.shape[1] for table in self._user_tables], axis=1), users

    @tf.function(input_signature=[])
    def unknown_user(self) -> dict[str, tf.Tensor]:
        """`user_vector: float32[1, W]`, by which users that the model does not know are scored."""
        return {USER_VECTOR: tf.concat([table[:1] for table in self._user_tables], axis=1)}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, "user_id"), tf.TensorSpec([None], tf.string, "movie_title")]
    )
    def serving_default(self, user_id: tf.Tensor, movie_title: tf.Tensor) -> dict[str, tf.Tensor]:
        """Two `string[B]` -> `user_rating: float32[B]`, the predicted rating of each pair."""
        tf.debugging.assert_equal(
            tf.size(user_id), tf.size(movie_title), "user_id and movie_title must be of one length, a pair a place"
        )
        pairs = tf.size(user_id)
        user_rows = self.user_rows.lookup(at_least(2, user_id))
        title_rows = self.title_rows.lookup(at_least(2, movie_title))
        return {USER_RATING: self.rate(self.own_users(), user_rows, title_rows)[:pairs]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user_id"), *_REQUEST])
    def recommend(
        self,
        user_id: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The k best candidates of each user that the user has not seen, by score falling, then position rising.

        Exact: equal to scoring every pair, dropping the seen and sorting. Beside what it is given and what it returns
        it holds what the scorer keeps of the candidates, and `STEPS_IN_FLIGHT` blocks of users with a score for every
        candidate, whatever the number of users.

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
        rows, request = self.user_rows.lookup(user_id), (candidates, seen_values, seen_row_splits, k)
        best = self._recommend(self.own_users(), rows, *request)
        return {name: best[name] for name in ("index", "score")}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user_id"), *_REQUEST])
    def recommend_rated(
        self,
        user_id: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """As `recommend`, with more about each user and each recommendation.

        Returns:
          Beside what `recommend` does, `user_rating: float32[B, k]`, as `serving_default` predicts each pair, which
          costs little for the winners alone and means nothing where the index is -1; and `known: bool[B]`, whether the
          model was trained on interactions of the user.
        """
        rows, request = self.user_rows.lookup(user_id), (candidates, seen_values, seen_row_splits, k)
        best = self._recommend(self.own_users(), rows, *request)
        return best | {KNOWN: tf.gather(self._known, rows)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "user_vector"), *_REQUEST])
    def recommend_vectors(
        self,
        user_vector: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """As `recommend_rated`, to the bit, of users who come with their vectors, `float32[B, W]`; not `known`."""
        return self._recommend(*self.given_users(user_vector), candidates, seen_values, seen_row_splits, k)

    def _best_of_users(
        self,
        users: UserTables,
        user_rows: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """As `recommend_rated`, of users in the rows `int32[B]` of `users`; not `known`."""
        asked, count = tf.size(user_rows), tf.size(candidates)
        with tf.control_dependencies(
            [
                tf.debugging.assert_non_negative(k, "k is negative"),
                tf.debugging.assert_equal(
                    tf.size(seen_row_splits), asked + 1, "seen_row_splits is not one longer than user_id or user_vector"
                ),
                tf.debugging.assert_non_negative(seen_values, "seen_values has a position that is negative"),
                tf.debugging.assert_less(seen_values, count, "seen_values has a position past the last candidate"),
            ]
        ):
            # What follows waits for the checks: run beside them, it would fail first and say less.
            user_rows, k = tf.identity(user_rows), tf.identity(k)

        most_seen = tf.reduce_max(tf.concat([[0], seen_row_splits[1:] - seen_row_splits[:-1]], axis=0))
        title_rows, shape = self.prepare(candidates, k, tf.cast(most_seen, tf.int32))
        block, depth = shape.block, shape.depth
        choose, rate = self.chooser(users, title_rows, shape), self.rater(users, title_rows)

        blocks = tf.maximum(1, ceil_div(asked, block))
        user_rows = at_least(blocks * block, user_rows, filler=0)
        seen_row_splits = at_least(blocks * block + 1, seen_row_splits, filler=seen_row_splits[-1])

        def best_of_block(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
            first = number * block
            rows, splits = user_rows[first : first + block], seen_row_splits[first : first + block + 1]
            score, index = choose(rows, Seen(seen_values[splits[0] : splits[-1]], splits - splits[0]))
            index = tf.where(score == -np.inf, -1, index)
            rating = rate(rows, tf.maximum(index, 0)) if rate else score
            return score, index, rating

        best = tf.map_fn(
            best_of_block,
            tf.range(blocks),
            fn_output_signature=(tf.float32, tf.int32, tf.float32),
            parallel_iterations=STEPS_IN_FLIGHT,
        )
        missing = [[0, 0], [0, k - depth]]
        score, index, rating = (
            tf.pad(tf.reshape(values, [blocks * block, depth])[:asked], missing, constant_values=nothing)
            for values, nothing in zip(best, (-np.inf, -1, -np.inf), strict=True)
        )
        return {"index": index, "score": score, USER_RATING: rating}

    def predict(self, user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        """The predicted ratings, `float32[B]`, of B user ids and B titles."""
        pairs = {USER_ID: tf.constant(user_id, tf.string), MOVIE_TITLE: tf.constant(movie_title, tf.string)}
        return self.serving_default(**pairs)[USER_RATING].numpy()

    def signature_functions(self) -> dict[str, Any]:
        """The `tf.function` behind each signature, by its name."""
        return {
            SERVING_SIGNATURE: self.serving_default,
            RECOMMEND_SIGNATURE: self.recommend,
            RECOMMEND_RATED_SIGNATURE: self.recommend_rated,
            RECOMMEND_VECTORS_SIGNATURE: self.recommend_vectors,
            UNKNOWN_USER_SIGNATURE: self.unknown_user,
        }

    def save(self, folder: Path) -> None:
        """Write the SavedModel with its signatures to `folder`."""
        tf.saved_model.save(self, str(folder), self.signature_functions())


def vocabulary(words: Sequence[str]) -> tf.lookup.StaticHashTable:
    """From a word to its row, 1 for the first and 0 for any other.

    Keys are tensors in the graph rather than lines of an asset file: a title may hold a line break.
    """
    # TensorFlow takes no empty table: one word that has the row of all others says the same.
    first, keys = (1, list(words)) if len(words) else (0, [""])
    rows = tf.range(first, first + len(keys), dtype=tf.int32)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(keys, tf.string), rows)
    return tf.lookup.StaticHashTable(initializer, default_value=0)


def constant(name: str, values: np.ndarray) -> tf.Variable:
    """A variable that nothing changes; unlike a constant of the graph it may be of any size."""
    return tf.Variable(values, trainable=False, name=name)
