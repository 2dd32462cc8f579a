"""The exported model: a `tf.Module` that rates pairs and recommends candidates, however it scores them."""

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
from model.retrieval.block_search import REQUEST_SPECS, Request, check_request, most_seen, search_blocks
from model.retrieval.blocks import (
    BlockRater,
    BlockScorer,
    BlockTopK,
    SearchSizes,
    Seen,
    TopK,
    ceil_div,
    mask_seen,
    pad_to,
    score_all,
)
from model.retrieval.tables import UserTables, constant, vocabulary_table


class Recommender(tf.Module):
    """An exported model. It needs TensorFlow alone, holds its vocabularies, and runs no Python.

    Subclasses say how to score: `rate`, `block_sizes`, and `block_scorer` or `block_top_k`. The functions that these
    return are made once for each call of a signature. They read tables and variables when they are made, because
    TensorFlow would run blocks one after the other if variables were read inside the loop over blocks.

    Args:
      user_ids: the vocabulary of users. User i has row i + 1; unknown users have row 0.
      movie_titles: the vocabulary of titles, with the same rows.
      known: `bool[users + 1]`, whether the training data had interactions of the user.
      user_tables: the model's own `UserTables`, `float32[users + 1, ..]` each.
    """

    def __init__(
        self,
        user_ids: Sequence[str],
        movie_titles: Sequence[str],
        known: np.ndarray,
        user_tables: Sequence[np.ndarray],
    ) -> None:
        super().__init__()
        self.user_rows = vocabulary_table(user_ids)
        self.title_rows = vocabulary_table(movie_titles)
        self._known = constant("known", known)
        self._user_tables = [constant(f"user_table_{number}", table) for number, table in enumerate(user_tables, 1)]
        # All signatures call this one function, because each further copy of its graph would take time to load.
        tables = [tf.TensorSpec([None, *table.shape[1:]], tf.float32) for table in user_tables]
        self._recommend = tf.function(
            self._recommend_rows, input_signature=[tables, tf.TensorSpec([None], tf.int32), *REQUEST_SPECS]
        )

    @abstractmethod
    def rate(self, users: UserTables, user_rows: tf.Tensor, title_rows: tf.Tensor) -> tf.Tensor:
        """Two `int32[B]` -> `float32[B]`, the predicted rating of each pair. B is at least 2."""

    @abstractmethod
    def block_sizes(self, candidates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Users in a block and candidates in a chunk, for this number of candidates (at least 2)."""

    def block_scorer(self, users: UserTables, title_rows: tf.Tensor, sizes: SearchSizes) -> BlockScorer:
        """A function that scores blocks of users against the candidates in rows `int32[M]`.

        Only the `block_top_k` of this class needs it.
        """
        raise NotImplementedError

    def block_top_k(self, users: UserTables, title_rows: tf.Tensor, sizes: SearchSizes) -> BlockTopK:
        """A function that finds the best of the candidates in rows `int32[M]` for a block of users.

        Here it scores all of them.
        """
        score_block = self.block_scorer(users, title_rows, sizes)

        def top_k(rows: tf.Tensor, seen: Seen) -> TopK:
            scores = score_all(score_block(rows), sizes)
            # Of equal scores, tf.math.top_k takes the lower index first, which is the promised order.
            best = tf.math.top_k(mask_seen(scores, seen), sizes.depth)
            return best.values, best.indices

        return top_k

    def block_rater(self, users: UserTables, title_rows: tf.Tensor) -> BlockRater | None:
        """A function that rates candidates in rows `int32[M]` for a block of users, to the same bits as `rate`.

        None, as here, where the scores are the ratings.
        """
        return None

    def prepare(self, request: Request) -> tuple[tf.Tensor, SearchSizes]:
        """The rows of the candidates, `int32[M]`, padded to whole chunks, and the sizes of the search."""
        candidates = request.candidates
        count = tf.size(candidates)
        block, chunk = self.block_sizes(tf.maximum(2, count))
        chunks = tf.maximum(1, ceil_div(count, chunk))
        title_rows = self.title_rows.lookup(pad_to(chunk * chunks, candidates))
        return title_rows, SearchSizes(block, chunk, count, tf.minimum(request.k, count), most_seen(request))

    def own_users(self) -> UserTables:
        """The tables of the model's own users, which `user_rows` gives the rows of."""
        return [table.read_value() for table in self._user_tables]

    def given_users(self, user_vector: tf.Tensor) -> tuple[UserTables, tf.Tensor]:
        """`float32[B, W]` -> tables of these users, and their rows, `int32[B]`; W is the width of all tables together.

        Row 0 is the unknown user's, as in the model's own tables.
        """
        rows = tf.range(1, 1 + tf.shape(user_vector)[0])
        both = tf.concat([self.unknown_user()[USER_VECTOR], user_vector], axis=0)
        return tf.split(both, [table.shape[1] for table in self._user_tables], axis=1), rows

    @tf.function(input_signature=[])
    def unknown_user(self) -> dict[str, tf.Tensor]:
        """`user_vector: float32[1, W]`, the vector that stands for users whom the model does not know."""
        return {USER_VECTOR: tf.concat([table[:1] for table in self._user_tables], axis=1)}

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.string, "user_id"), tf.TensorSpec([None], tf.string, "movie_title")]
    )
    def serving_default(self, user_id: tf.Tensor, movie_title: tf.Tensor) -> dict[str, tf.Tensor]:
        """Two `string[B]` -> `user_rating: float32[B]`, the predicted rating of each pair."""
        tf.debugging.assert_equal(
            tf.size(user_id), tf.size(movie_title), "user_id and movie_title must have the same length"
        )
        pairs = tf.size(user_id)
        user_rows = self.user_rows.lookup(pad_to(2, user_id))
        title_rows = self.title_rows.lookup(pad_to(2, movie_title))
        return {USER_RATING: self.rate(self.own_users(), user_rows, title_rows)[:pairs]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user_id"), *REQUEST_SPECS])
    def recommend(
        self,
        user_id: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """The k best candidates that each user has not seen: higher scores first, equal scores by candidate index.

        Exact: the result equals scoring every pair, dropping the seen ones and sorting. Besides arguments and results,
        memory holds the prepared candidates and, for each of `BLOCKS_IN_PARALLEL` blocks of users, a score for each
        candidate, however many users there are.

        Args:
          user_id: `string[B]`; unknown users are scored by the vector for unknown users.
          candidates: `string[M]`; unknown titles are scored by the vector for unknown titles.
          seen_values: `int32[S]`, indices into `candidates`, all in [0, M).
          seen_row_splits: `int64[B + 1]`; user b must not get `seen_values[splits[b]:splits[b + 1]]`.
          k: `int32`, at least 0.

        Returns:
          `index: int32[B, k]` into `candidates` and `score: float32[B, k]`; -1 and -inf where fewer than k are left.

        Raises:
          InvalidArgumentError: an argument is not as described.
        """
        rows = self.user_rows.lookup(user_id)
        best = self._recommend(self.own_users(), rows, candidates, seen_values, seen_row_splits, k)
        return {name: best[name] for name in ("index", "score")}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "user_id"), *REQUEST_SPECS])
    def recommend_rated(
        self,
        user_id: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """`recommend` with two more outputs.

        Returns:
          Also `user_rating: float32[B, k]`, the rating that `serving_default` predicts for each pair, which means
          nothing where the index is -1; and `known: bool[B]`, whether the training data had interactions of the user.
        """
        rows = self.user_rows.lookup(user_id)
        best = self._recommend(self.own_users(), rows, candidates, seen_values, seen_row_splits, k)
        return best | {KNOWN: tf.gather(self._known, rows)}

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "user_vector"), *REQUEST_SPECS])
    def recommend_vectors(
        self,
        user_vector: tf.Tensor,
        candidates: tf.Tensor,
        seen_values: tf.Tensor,
        seen_row_splits: tf.Tensor,
        k: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """`recommend_rated`, to the same bits, for users given by their vectors, `float32[B, W]`; without `known`."""
        return self._recommend(*self.given_users(user_vector), candidates, seen_values, seen_row_splits, k)

    def _recommend_rows(self, users: UserTables, user_rows: tf.Tensor, *request: tf.Tensor) -> dict[str, tf.Tensor]:
        """`recommend_rated`, without `known`, for users in rows `int32[B]` of `users`."""
        user_rows, checked = check_request(user_rows, Request(*request))
        title_rows, sizes = self.prepare(checked)
        top_k, rate = self.block_top_k(users, title_rows, sizes), self.block_rater(users, title_rows)
        return search_blocks(user_rows, checked, sizes, top_k, rate)

    def predict(self, user_id: np.ndarray, movie_title: np.ndarray) -> np.ndarray:
        """The predicted ratings, `float32[B]`, of B user ids and B titles."""
        pairs = {USER_ID: tf.constant(user_id, tf.string), MOVIE_TITLE: tf.constant(movie_title, tf.string)}
        return self.serving_default(**pairs)[USER_RATING].numpy()

    def signature_functions(self) -> dict[str, Any]:
        """The `tf.function` of each signature, by its name."""
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
