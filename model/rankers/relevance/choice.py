"""Chooses the settings of sequential EASE that predict best what users watched last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from model.metrics.ranking import measure_users
from model.progress import Progress
from model.rankers.relevance.histories import Histories
from model.rankers.relevance.sequential_ease import history_vectors, title_vectors
from model.rankers.settings import SequentialEaseSettings

MAX_USERS, LAST, MAX_TITLES = 4_000, 5, 5_000
"""The users whose `LAST` interactions are predicted, and the titles that options are compared on."""
TOP = 10
USERS_AT_ONCE = 1_024


@dataclass(frozen=True)
class Choice:
    """The settings that were chosen, and why."""

    settings: SequentialEaseSettings
    ndcg: Sequence[float] = ()
    """NDCG@10 of each option in order; empty where the options were not compared."""


def choose_settings(histories: Histories, options: Sequence[SequentialEaseSettings], seed: int) -> Choice:
    """The option with the best `ndcg_on_last`, and of equals the first.

    How much order and distance say differs between catalogues, so it is measured. A single option is chosen without
    measuring, and so is the first where no user has enough interactions.
    """
    if len(options) == 1 or not (histories.lengths > 2 * LAST).any():
        return Choice(options[0])
    results = []
    with Progress("choosing", len(options), "settings") as progress:
        for option in options:
            # The matrix of more titles takes minutes to invert, and these are enough to tell options apart.
            fewer = replace(option, max_titles=min(option.max_titles, MAX_TITLES))
            results.append(ndcg_on_last(histories, fewer, seed))
            progress.advance()
    return Choice(options[int(np.argmax(results))], results)


def ndcg_on_last(histories: Histories, settings: SequentialEaseSettings, seed: int) -> float:
    """The mean NDCG@10 of unseen titles, where each user's last `LAST` interactions are to be predicted.

    Args:
      histories: the last interactions of at most `MAX_USERS` users, drawn by `seed` from those with more than twice as
        many interactions as are predicted.
      settings: of the vectors.
      seed: also of `title_vectors`.
    """
    enough = np.flatnonzero(histories.lengths > 2 * LAST)
    users = np.sort(np.random.default_rng(seed).permutation(enough)[:MAX_USERS])
    drawn = np.zeros(histories.users, bool)
    drawn[users] = True
    held_out = drawn[histories.user] & (histories.age < LAST)
    before = Histories(histories.user[~held_out], histories.title[~held_out], histories.users, histories.titles)
    context, target = title_vectors(before, settings, seed)
    vectors = history_vectors(before, context, settings)
    blocks = (users[first : first + USERS_AT_ONCE] for first in range(0, len(users), USERS_AT_ONCE))
    index = np.concatenate([_top_titles(vectors, target, before, block) for block in blocks])
    splits = np.arange(len(users) + 1, dtype=np.int64) * LAST
    return float(np.nanmean(measure_users(index, histories.title[held_out].astype(np.int32), splits).ndcg))


def _top_titles(vectors: np.ndarray, target: np.ndarray, before: Histories, users: np.ndarray) -> np.ndarray:
    """`int32[B, 10]`: the best unseen titles of each user. `users: int64[B]` is rising."""
    scores = vectors[users] @ target.T
    rows = slice(*np.searchsorted(before.user, [users[0], users[-1] + 1]))
    block_row = np.minimum(np.searchsorted(users, before.user[rows]), len(users) - 1)
    theirs = users[block_row] == before.user[rows]
    scores[block_row[theirs], before.title[rows][theirs]] = -np.inf
    count = min(TOP, scores.shape[1])
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1).astype(np.int32)
