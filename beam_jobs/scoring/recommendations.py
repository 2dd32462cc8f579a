"""From users to their recommendations, as plain functions on Arrow tables: a worker's task between read and write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io.lookup import array, positions_in_lists
from beam_jobs.io.schemas import ENCODED_RECOMMENDATIONS, SOURCE_COLD_START, SOURCE_MODEL
from beam_jobs.scoring.loaded_model import Ranked, Ranker, Users
from beam_jobs.users.user_vectors import as_rows
from model.contract import KNOWN, SEEN, USER_ID, USER_VECTOR

FIRST_CALL = 1_024
"""Users of the first call."""
SECONDS_A_CALL = 8.0
"""About; a call makes candidates ready, which with a million of them takes a quarter of a second."""


@dataclass(frozen=True)
class Selection:
    """Which of the scored candidates become recommendations."""

    top_n: int
    exclude_seen: bool = True
    min_score: float | None = None
    """Recommendations that score less are left out; None leaves out nothing."""


class Candidates:
    """The candidates of a run, made ready for one ranker.

    Args:
      titles: `string[M]`, distinct, in the order that breaks ties.
      ranker: the model that will score them.
    """

    def __init__(self, titles: pa.Array, ranker: Ranker) -> None:
        self.titles = titles
        self.tensor = ranker.strings(titles)

    def __len__(self) -> int:
        return len(self.titles)


class Calls:
    """Divides users into calls of the model: as many as take some seconds, so that progress shows.

    A call looks candidates up and computes what a block of users shares, which is worth many users. How many are some
    seconds of work depends on model, candidates and machine, so it is measured; what comes out does not depend on it.

    Args:
      report: is told the users and pairs of each call and its seconds.
      clock: gives seconds; replaced in tests.
    """

    def __init__(
        self, report: Callable[[int, int, float], None] = lambda *_: None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._clock = report, clock
        self._users = FIRST_CALL

    def divide(self, users: int) -> Iterator[slice]:
        """Consecutive slices of so many users, at least one slice, each as long as those before it teach."""
        first = 0
        while first < users or not users:
            past = min(users, first + self._users)
            yield slice(first, past)
            if past == users:
                return
            first = past

    def timed(self, rank: Callable[[slice], Ranked], some: slice, candidates: int) -> Ranked:
        """Call `rank`, and learn from how long it took."""
        began = self._clock()
        ranked = rank(some)
        seconds, users = self._clock() - began, some.stop - some.start
        if users == self._users and seconds < SECONDS_A_CALL / 2:
            self._users *= 2
        self._report(users, users * candidates, seconds)
        return ranked


def recommend(
    users: pa.Table, ranker: Ranker, candidates: Candidates, selection: Selection, calls: Calls
) -> tuple[pa.Table, Mapping[str, int]]:
    """Rank every candidate for every user and keep the best.

    Args:
      users: a batch of users, of `beam_jobs.io.schemas.USERS` or types that can be cast to it, or `USERS_WITH_VECTORS`.
      ranker: the model.
      candidates: what may be recommended.
      selection: how much of it.
      calls: how the batch is divided into calls of the model, on which nothing depends.

    Returns:
      `beam_jobs.io.schemas.ENCODED_RECOMMENDATIONS`, users in the order given and ranks rising; and counters.
    """
    has_id = pc.fill_null(pc.not_equal(users[USER_ID], ""), False)
    accepted = users if pc.all(has_id).as_py() else users.filter(has_id)
    user_ids = array(accepted[USER_ID]).cast(pa.string())
    if selection.exclude_seen:
        seen_values, seen_row_splits = positions_in_lists(accepted[SEEN], candidates.titles)
    else:
        seen_values, seen_row_splits = np.empty(0, np.int32), np.zeros(len(user_ids) + 1, np.int64)

    people = _people(accepted, user_ids, ranker)

    def rank(some: slice) -> Ranked:
        splits = seen_row_splits[some.start : some.stop + 1]
        seen = seen_values[splits[0] : splits[-1]]
        return ranker.recommend(people[some], candidates.tensor, seen, splits - splits[0], selection.top_n)

    parts = [calls.timed(rank, some, len(candidates)) for some in calls.divide(len(user_ids))]
    index, score, rating = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("index", "score", "rating")
    )
    if USER_VECTOR in accepted.column_names:
        known = np.asarray(pc.fill_null(accepted[KNOWN], False), bool)
    else:
        known = np.concatenate([part.known for part in parts])
    given = index >= 0
    if selection.min_score is not None:
        given &= score >= np.float32(selection.min_score)
    rows = _rows(user_ids, index, score, rating, given, known, candidates.titles, ranker.description["model_version"])
    return rows, {
        "users_read": users.num_rows,
        "users_rejected_no_user_id": users.num_rows - accepted.num_rows,
        "users_scored": accepted.num_rows,
        "users_cold": int(np.count_nonzero(~known)),
        "users_without_rows": int(np.count_nonzero(~given.any(axis=1))),
        "pairs_scored": accepted.num_rows * len(candidates),
        "rows_written": rows.num_rows,
        "rows_below_min_score": int(np.count_nonzero(index >= 0)) - rows.num_rows,
    }


def _people(users: pa.Table, user_ids: pa.Array, ranker: Ranker) -> Users:
    """Users as the model is asked about them."""
    if USER_VECTOR not in users.column_names:
        return ranker.strings(user_ids)
    return as_rows(users[USER_VECTOR], ranker.unknown_user())


def _rows(
    user_ids: pa.Array,
    index: np.ndarray,
    score: np.ndarray,
    rating: np.ndarray,
    given: np.ndarray,
    known: np.ndarray,
    titles: pa.Array,
    model_version: str,
) -> pa.Table:
    """One row for each place of `index`, `score` and `rating`, `[B, k]`, where `given` is true; a prefix of each."""
    count, depth = given.shape
    user = np.repeat(np.arange(count, dtype=np.int32), depth)
    rank = np.tile(np.arange(1, depth + 1, dtype=np.int32), count)
    columns = (user, rank, index, score, rating)
    # Mostly all are given, and selecting them would copy every column.
    kept = slice(None) if given.all() else given.reshape(-1)
    user, rank, index, score, rating = (values.reshape(-1)[kept] for values in columns)
    codes, recommended = _encode(index, titles)
    return pa.table(
        [
            _dictionary(user, user_ids),
            pa.array(rank),
            _dictionary(codes, recommended),
            pa.array(score),
            pa.array(rating),
            _dictionary(known.take(user), pa.array([SOURCE_COLD_START, SOURCE_MODEL])),
            _dictionary(np.zeros(len(user), np.int32), pa.array([model_version])),
        ],
        schema=ENCODED_RECOMMENDATIONS,
    )


def _encode(index: np.ndarray, titles: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Codes and a dictionary of the titles at `index` alone, as a file should not hold those that nobody got."""
    used = np.zeros(len(titles), bool)
    used[index] = True
    return (np.cumsum(used, dtype=np.int32) - 1).take(index), titles.filter(pa.array(used))


def _dictionary(codes: np.ndarray, words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32, copy=False)), words)
