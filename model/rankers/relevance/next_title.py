"""A ranker by relevance: what a user will watch next, and beside it what rating they would give it.

Users with a history and titles with watchers get vectors in closed form (see `sequential_ease`). Side data stand in
where there is none, by two towers that a TensorFlow Recommenders retrieval task trains: in each example the user's
vector, the title's or both are hidden at random, and the tower of what is known of them takes its place (DropoutNet:
Volkovs, Yu and Poutanen 2017); now and then that is hidden too. A user of n interactions then has the vector of the
history and `k / (n + k)` of the tower's, a title likewise.

The last component is popularity: of a title the logarithm of its interactions, of a history 0, and of a tower's user a
constant. What their tower says beside is how users like them depart from what most watch, which is nothing where
nothing is known of them: they get the most popular titles.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
import tensorflow_recommenders as tfrs

from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID
from model.data.interactions import row_hashes
from model.data.training_examples import on_disk
from model.rankers.relevance.sequential_ease import Closeness, Histories, choose, history_vectors, title_vectors
from model.rankers.settings import RelevanceSettings
from model.retrieval.dot_product_recommender import Factors

Features = Mapping[str, tf.Tensor]
USER_ROW, TITLE_ROW = "user_row", "title_row"


class NextTitleModel(tfrs.Model):
    """Towers of side data, trained to stand in for vectors that are given, whose last component is popularity.

    A title keeps its own popularity when its vector is hidden. The constant of a user makes that part of the score,
    divided by the temperature, the logarithm of the title's share; the tower learns what there is beside.

    Takes a batch of `user_row: int32[B]` and `title_row: int32[B]`; the loss is the cross-entropy of each user's title
    among the titles of the batch, corrected for how often a title is in one (Yi et al. 2019, "Sampling-bias-corrected
    neural modeling for large corpus item recommendations").
    """

    def __init__(
        self,
        users: np.ndarray,
        titles: np.ndarray,
        user_features: np.ndarray,
        title_features: np.ndarray,
        title_share: np.ndarray,
        popularity_scale: float,
        settings: RelevanceSettings,
    ) -> None:
        super().__init__()
        dimension, temperature = users.shape[1] - 1, settings.temperature * _typical_score(users, titles)
        # From zeros and without a bias, so that nothing known is nothing said.
        self.user_tower = tf.keras.layers.Dense(
            dimension, use_bias=False, kernel_initializer="zeros", name="user_tower"
        )
        self.title_tower = tf.keras.layers.Dense(dimension, name="title_tower")
        self._user_step = settings.user_step * _root_mean_square(users[:, :-1])
        self._of_popularity = temperature / popularity_scale
        self._users, self._titles = tf.constant(users), tf.constant(titles)
        self._user_features, self._title_features = tf.constant(user_features), tf.constant(title_features)
        self._title_share = tf.constant(title_share, tf.float32)
        self._settings = settings
        self.task = tfrs.tasks.Retrieval(
            metrics=None,
            batch_metrics=None,
            temperature=temperature,
            remove_accidental_hits=True,
        )

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """A scalar, summed over the batch."""
        users, titles = features[USER_ROW], features[TITLE_ROW]
        known_users, known_titles = (
            _hide(tf.gather(table, rows), self._settings.hidden_features)
            for table, rows in ((self._user_features, users), (self._title_features, titles))
        )
        given = _hide(tf.gather(self._users, users), self._settings.hidden_users, self.described_users(known_users))
        vectors = tf.gather(self._titles, titles)
        candidates = _hide(
            vectors,
            self._settings.hidden_titles,
            tf.concat([self.title_tower(known_titles), vectors[:, -1:]], axis=1),
        )
        return self.task(
            given,
            candidates,
            candidate_sampling_probability=tf.gather(self._title_share, titles),
            # They are compared and nothing else; with whole numbers TensorFlow complains of its own library.
            candidate_ids=tf.cast(titles, tf.float64),
            compute_metrics=False,
        )

    def described_users(self, features: tf.Tensor) -> tf.Tensor:
        """`float32[B, F]`, what is known of users, to what stands in for their vectors, `float32[B, D + 1]`."""
        departure = self._user_step * self.user_tower(features)
        return tf.concat([departure, tf.fill([tf.shape(departure)[0], 1], self._of_popularity)], axis=1)


def fit_relevance(
    histories: Histories,
    user_features: np.ndarray,
    title_features: np.ndarray,
    settings: RelevanceSettings,
    seed: int,
    tensorboard: Path,
) -> tuple[Factors, dict[str, list[float]], Closeness]:
    """Fit both parts to interactions.

    Args:
      histories: of U users and M titles, whose rows here are those of the vocabulary and not yet of `Factors`.
      user_features: `float32[U, F]`, of all users.
      title_features: `float32[M, G]`
      settings: how.
      seed: of everything that is drawn.
      tensorboard: folder of its logs.

    Returns:
      The factors, of a component more than the vectors of closeness, row 0 of each table for the unknown; the loss an
      example of each epoch; and which of the options of closeness was chosen.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    closeness, results = choose(histories, settings.closeness, seed)
    if results:
        print(f"NDCG@10 on what users watched last {', '.join(f'{ndcg:.4f}' for ndcg in results)}; {closeness}")
    left, right = title_vectors(histories, closeness, seed)
    users = history_vectors(histories, left, closeness)
    lengths, counts = histories.lengths, histories.counts
    popularity = np.log(np.append(0, counts) + 1.0)  # of row 0 as of a title that nobody watched
    popularity -= popularity[1:].mean()
    # As large as another component, as the bounds of `model.retrieval.dot_product_top_k` grow with the longest vector.
    scale = _root_mean_square(right) / _root_mean_square(popularity[1:])
    users, right = np.pad(users, [(0, 0), (0, 1)]), _append(right, scale * popularity[1:])
    share = (counts + 1) / (counts + 1).sum()
    model = NextTitleModel(users, right, user_features, title_features, share, scale, settings)
    model.compile(optimizer=tf.keras.optimizers.legacy.Adam(settings.learning_rate))
    order = np.random.default_rng(seed).permutation(len(histories.user))
    pairs = {USER_ROW: histories.user.astype(np.int32), TITLE_ROW: histories.title.astype(np.int32)}
    with on_disk(pairs, order) as examples:
        history = model.fit(
            examples.batches(settings.batch_size),
            epochs=settings.epochs,
            verbose=1 if sys.stdout.isatty() else 2,
            callbacks=[tf.keras.callbacks.TensorBoard(tensorboard, write_graph=False)],
        )
    watched, few = lengths > 0, counts <= np.median(counts)
    described = model.described_users(_with_unknown(user_features)).numpy()
    described *= _typical_score(users[watched], right) / _typical_score(described, right)
    titles = model.title_tower(_with_unknown(title_features)).numpy()
    # A title that nobody watched is put on a level with those that few did: it might be anything.
    titles *= _mean_length(right[few, :-1]) / max(_mean_length(titles[1:]), 1e-12)
    factors = Factors(
        _complete(users, lengths, settings.user_prior, described),
        _append(_complete(right[:, :-1], counts, settings.title_prior, titles), scale * popularity),
        np.zeros(histories.titles + 1, np.float32),
    )
    losses = [float(loss) / settings.batch_size for loss in history.history["loss"]]
    return factors, {"next_title_loss": losses}, closeness


def histories_of(table: pa.Table, users: pa.Array, titles: pa.Array) -> Histories:
    """Interactions in the order of time; those of one second in an order by chance, whatever the table's order.

    By their names, or by their rows in the vocabulary, would tell the model something that is not so.

    Args:
      table: of `model.data.interactions.SCHEMA`.
      users: `string[U]`, in the order of their rows.
      titles: `string[M]`, likewise.
    """
    user = np.asarray(pc.index_in(table[USER_ID], value_set=users), np.int64)
    title = np.asarray(pc.index_in(table[MOVIE_TITLE], value_set=titles), np.int64)
    order = np.lexsort((row_hashes(table), table[TIMESTAMP].to_numpy(), user))
    return Histories(user[order], title[order], len(users), len(titles))


def _typical_score(users: np.ndarray, titles: np.ndarray) -> float:
    """The root of the mean square of all products of a row of `users` and one of `titles`; 1 where they are zeros."""
    squares = np.sum((users.T @ users / len(users)) * (titles.T @ titles / len(titles)), dtype=np.float64)
    return float(np.sqrt(squares)) or 1.0


def _hide(vectors: tf.Tensor, share: float, instead: tf.Tensor | float = 0.0) -> tf.Tensor:
    """`vectors`, but for a `share` of the rows, drawn at random, `instead`."""
    return tf.where(tf.random.uniform([tf.shape(vectors)[0], 1]) < share, instead, vectors)


def _complete(vectors: np.ndarray, interactions: np.ndarray, prior: float, side: np.ndarray) -> np.ndarray:
    """`float32[rows + 1, D]`: row 0 is that of `side`, the others are vectors with a share of its."""
    share = (prior / (interactions + prior)).astype(np.float32)[:, None]
    return np.concatenate([side[:1], vectors + share * side[1:]])


def _with_unknown(features: np.ndarray) -> np.ndarray:
    """`[rows, F]` -> `[rows + 1, F]`, of which row 0 is of no features at all."""
    return np.pad(features, [(1, 0), (0, 0)])


def _append(vectors: np.ndarray, component: np.ndarray) -> np.ndarray:
    return np.column_stack([vectors, component.astype(np.float32)])


def _mean_length(vectors: np.ndarray) -> float:
    return float(np.mean(np.linalg.norm(vectors, axis=1)))


def _root_mean_square(values: np.ndarray) -> float:
    """1 where they are zeros."""
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) or 1.0
