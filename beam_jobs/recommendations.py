"""From users to their recommendations, as plain functions on Arrow tables: a worker's task between read and write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.ranker import Ranker
from beam_jobs.schema import RECOMMENDATIONS, SOURCE_COLD_START, SOURCE_MODEL, USERS
from model.contract import SEEN, USER_ID


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

    def seen_positions(self, seen: pa.ListArray) -> tuple[np.ndarray, np.ndarray]:
        """`list<string>[B]` -> positions `int32[S]` and row splits `int64[B + 1]`.

        Titles that are no candidate are dropped; a null list is an empty one.
        """
        positions = pc.index_in(seen.flatten(), value_set=self.titles)
        is_candidate = positions.is_valid().to_numpy(zero_copy_only=False)
        lengths = pc.fill_null(pc.list_value_length(seen), 0).to_numpy(zero_copy_only=False)
        ends = np.concatenate([[0], np.cumsum(lengths)])
        kept = np.concatenate([[0], np.cumsum(is_candidate)])
        return positions.drop_null().to_numpy(zero_copy_only=False), kept[ends]


def recommend(
    users: pa.Table, ranker: Ranker, candidates: Candidates, selection: Selection
) -> tuple[pa.Table, Mapping[str, int]]:
    """Rank every candidate for every user and keep the best.

    Args:
      users: a block of users, of `beam_jobs.schema.USERS` or types that can be cast to it.
      ranker: the model.
      candidates: what may be recommended.
      selection: how much of it.

    Returns:
      `beam_jobs.schema.RECOMMENDATIONS`, users in the order given and ranks rising; and counters.
    """
    users = users.select(USERS.names).cast(USERS).combine_chunks()
    has_id = pc.fill_null(pc.not_equal(users[USER_ID], ""), False)
    accepted = users.filter(has_id)
    user_ids = _chunk(accepted, USER_ID)
    if selection.exclude_seen:
        seen_values, seen_row_splits = candidates.seen_positions(_chunk(accepted, SEEN))
    else:
        seen_values, seen_row_splits = np.empty(0, np.int32), np.zeros(len(user_ids) + 1, np.int64)

    index, score = ranker.recommend(user_ids, candidates.tensor, seen_values, seen_row_splits, selection.top_n)
    known = ranker.knows(user_ids)
    given = index >= 0
    if selection.min_score is not None:
        given &= score >= np.float32(selection.min_score)
    rating = score if ranker.ranks_by_rating else ranker.rate(user_ids, candidates.tensor, index)
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
    user, place = np.nonzero(given)
    sources = pa.array([SOURCE_COLD_START, SOURCE_MODEL], pa.string())
    return pa.table(
        [
            user_ids.take(pa.array(user)),
            pa.array(place + 1, pa.int32()),
            titles.take(pa.array(index[given])),
            pa.array(score[given], pa.float32()),
            pa.array(rating[given], pa.float32()),
            sources.take(pa.array(known[user].astype(np.int8))),
            pa.repeat(pa.scalar(model_version, pa.string()), len(user)),
        ],
        schema=RECOMMENDATIONS,
    )


def _chunk(table: pa.Table, name: str) -> pa.Array:
    """The one array of a column of a table without chunks; Arrow gives an empty column no chunk at all."""
    column = table[name].combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
