"""From users to their recommendations: plain functions on Arrow tables, without reading or writing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.io.lookup import as_array, index_in_lists
from beam_jobs.io.schemas import ENCODED_RECOMMENDATIONS, SOURCE_COLD_START, SOURCE_MODEL
from beam_jobs.run import Selection
from beam_jobs.scoring.loaded_model import Ranked, Ranker, Users
from beam_jobs.scoring.model_calls import ModelCalls
from beam_jobs.users.user_vectors import as_matrix
from model.contract import KNOWN, SEEN, USER_ID, USER_VECTOR


class LoadedCandidates:
    """The candidates of a run in the form that a loaded model takes.

    Args:
      titles: `string[M]`, distinct, in the order that breaks ties.
      ranker: the model that will score them.
    """

    def __init__(self, titles: pa.Array, ranker: Ranker) -> None:
        self.titles = titles
        self.tensor = ranker.strings(titles)

    def __len__(self) -> int:
        return len(self.titles)


def recommend(
    users: pa.Table, ranker: Ranker, candidates: LoadedCandidates, selection: Selection, calls: ModelCalls
) -> tuple[pa.Table, Mapping[str, int]]:
    """Rank every candidate for every user and keep the best.

    Args:
      users: a batch of `beam_jobs.io.schemas.USERS` or `USERS_WITH_VECTORS`, or of types that can be cast to it.
      ranker: the model.
      candidates: the titles that can be recommended.
      selection: which of them to keep for each user.
      calls: cuts the batch into calls of the model. The result does not depend on it.

    Returns:
      `beam_jobs.io.schemas.ENCODED_RECOMMENDATIONS`, users in the order given and ranks rising; and counters.

    Raises:
      InputError: a user's vector is not as long as the model's vectors.
    """
    has_id = pc.fill_null(pc.not_equal(users[USER_ID], ""), False)
    accepted = users if pc.all(has_id).as_py() else users.filter(has_id)
    user_ids = as_array(accepted[USER_ID]).cast(pa.string())
    if selection.exclude_seen:
        seen_values, seen_row_splits = index_in_lists(accepted[SEEN], candidates.titles)
    else:
        seen_values, seen_row_splits = np.empty(0, np.int32), np.zeros(len(user_ids) + 1, np.int64)

    model_input = _as_input(accepted, user_ids, ranker)

    def rank(some: slice) -> Ranked:
        splits = seen_row_splits[some.start : some.stop + 1]
        seen = seen_values[splits[0] : splits[-1]]
        return ranker.recommend(model_input[some], candidates.tensor, seen, splits - splits[0], selection.top_n)

    parts = [calls.call(rank, some, len(candidates)) for some in calls.slices(len(user_ids))]
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


def _as_input(users: pa.Table, user_ids: pa.Array, ranker: Ranker) -> Users:
    """Users in the form that the model takes: their vectors where the table has them, else their ids."""
    if USER_VECTOR not in users.column_names:
        return ranker.strings(user_ids)
    return as_matrix(users[USER_VECTOR], ranker.unknown_user())


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
    """One row for each element of `index`, `score` and `rating`, all `[B, k]`, where `given` is true.

    For each user, `given` is true up to some rank and false from there on.
    """
    count, depth = given.shape
    user = np.repeat(np.arange(count, dtype=np.int32), depth)
    rank = np.tile(np.arange(1, depth + 1, dtype=np.int32), count)
    columns = (user, rank, index, score, rating)
    # Usually all are given. Selecting them would copy every column.
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
    """Dictionary codes for `index`, and a dictionary of these titles alone: a file needs no title that nobody got."""
    used = np.zeros(len(titles), bool)
    used[index] = True
    return (np.cumsum(used, dtype=np.int32) - 1).take(index), titles.filter(pa.array(used))


def _dictionary(codes: np.ndarray, words: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32, copy=False)), words)
