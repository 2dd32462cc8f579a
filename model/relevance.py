"""A ranker by relevance: what a user will watch next, and beside it what rating they would give it.

Users with a history and titles with watchers get their vectors in closed form (`model.closeness`). Side data stand in
where there is none, by two towers that a TensorFlow Recommenders retrieval task trains: in each example the user's
vector, the title's or both are hidden at random, and the tower of what is known of them takes its place (DropoutNet:
Volkovs, Yu and Poutanen 2017); now and then that is hidden too, so that there is a vector for those of whom nothing is
known. A user of n interactions then has the vector of the history and `k / (n + k)` of the tower's, a title likewise.
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

from model.closeness import Closeness, Histories, choose, history_vectors, title_vectors
from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID
from model.dot_recommender import Factors
from model.examples import on_disk
from model.hyperparameters import RelevanceSettings
from model.interactions import row_hashes

Features = Mapping[str, tf.Tensor]
USER_ROW, TITLE_ROW = "user_row", "title_row"


class NextTitleModel(tfrs.Model):
    """Towers of side data, trained to stand in for vectors that are given.

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
        settings: RelevanceSettings,
    ) -> None:
        super().__init__()
        self.user_tower = tf.keras.layers.Dense(users.shape[1], name="user_tower")
        self.title_tower = tf.keras.layers.Dense(titles.shape[1], name="title_tower")
        self._users, self._titles = tf.constant(users), tf.constant(titles)
        self._user_features, self._title_features = tf.constant(user_features), tf.constant(title_features)
        self._title_share = tf.constant(title_share, tf.float32)
        self._settings = settings
        self.task = tfrs.tasks.Retrieval(
            metrics=None,
            batch_metrics=None,
            temperature=settings.temperature * _typical_score(users, titles),
            remove_accidental_hits=True,
        )

    def compute_loss(self, features: Features, training: bool = False) -> tf.Tensor:
        """A scalar, summed over the batch."""
        users, titles = features[USER_ROW], features[TITLE_ROW]
        known_users, known_titles = (
            _hide(tf.gather(table, rows), self._settings.hidden_features)
            for table, rows in ((self._user_features, users), (self._title_features, titles))
        )
        given = _hide(tf.gather(self._users, users), self._settings.hidden_users, self.user_tower(known_users))
        candidates = _hide(
            tf.gather(self._titles, titles), self._settings.hidden_titles, self.title_tower(known_titles)
        )
        return self.task(
            given,
            candidates,
            candidate_sampling_probability=tf.gather(self._title_share, titles),
            # They are compared and nothing else; with whole numbers TensorFlow complains of its own library.
            candidate_ids=tf.cast(titles, tf.float64),
            compute_metrics=False,
        )


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
      The factors, row 0 of each table for the unknown; the loss an example of each epoch; and which of the options of
      closeness was chosen.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    closeness, results = choose(histories, settings.closeness, seed)
    if results:
        print(f"NDCG@10 on what users watched last {', '.join(f'{ndcg:.4f}' for ndcg in results)}; {closeness}")
    left, right = title_vectors(histories, closeness, seed)
    users = history_vectors(histories, left, closeness)
    share = (histories.counts + 1) / (histories.counts + 1).sum()
    model = NextTitleModel(users, right, user_features, title_features, share, settings)
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
    lengths, counts = histories.lengths, histories.counts
    few = counts <= np.median(counts)
    factors = Factors(
        _complete(users, lengths > 0, lengths, settings.user_prior, model.user_tower, user_features),
        # A title that nobody watched is put on a level with those that few did: it might be anything.
        _complete(right, few, counts, settings.title_prior, model.title_tower, title_features),
        np.zeros(histories.titles + 1, np.float32),
    )
    losses = [float(loss) / settings.batch_size for loss in history.history["loss"]]
    return factors, {"next_title_loss": losses}, closeness


def histories_of(table: pa.Table, users: pa.Array, titles: pa.Array) -> Histories:
    """Interactions in the order of time; those of one second in an order by chance, whatever the table's order.

    By their names, or by their rows in the vocabulary, would tell the model something that is not so.

    Args:
      table: of `model.interactions.SCHEMA`.
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


def _complete(
    vectors: np.ndarray,
    typical: np.ndarray,
    interactions: np.ndarray,
    prior: float,
    tower: tf.keras.layers.Dense,
    features: np.ndarray,
) -> np.ndarray:
    """`float32[rows + 1, D]`: row 0 by no features at all, and vectors with their share of the tower's.

    The tower's are brought to the mean length of those of `vectors` that are `typical`.
    """
    side = tower(np.concatenate([np.zeros((1, features.shape[1]), np.float32), features])).numpy()
    lengths = np.linalg.norm(vectors[typical], axis=1), np.linalg.norm(side[1:], axis=1)
    side *= np.mean(lengths[0]) / max(np.mean(lengths[1]), 1e-12)
    share = (prior / (interactions + prior)).astype(np.float32)[:, None]
    return np.concatenate([side[:1], vectors + share * side[1:]])
