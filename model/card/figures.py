"""What a model card shows beside the evaluation reports: facts of the data, calibration, example users."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.contract import MOVIE_TITLE, TIMESTAMP, USER_ID, USER_RATING
from model.data.splits import Split
from model.evaluation.held_out import HeldOut
from model.evaluation.interaction_matrix import row_lengths
from model.evaluation.top_n import Recommend
from model.metrics.rating import Predictor, predict_rows

USERS_DRAWN = 1_000
"""The distribution of predicted ratings is taken from the recommendations to this many users."""
EXAMPLES = 10
EXAMPLE_TITLES = 5
LIST_LENGTH = 10
BINS = 20


def card_data(
    recommend: Recommend, predict: Predictor, split: Split, seed: int = 0, *, user_ids: bool = False
) -> dict[str, Any]:
    """Plain JSON for `model.card.model_card.write_card`.

    - `data`: facts of the rows.
    - `calibration`: the held-out rows, sorted by predicted rating and cut into ten parts of equal size. Each has the
      mean `predicted`, the mean `given` and its `rows`. Empty where nothing is held out.
    - `ratings`: histograms over `BINS` parts of the range of ratings, as shares; values outside the range count in the
      outermost part. `middles` of the parts; `held_out`, predicted ratings of the held-out rows; `recommended`, those
      of the ten best titles of `users` users, drawn by `seed`.
    - `examples`: ten of these users, numbered, or named by id if `user_ids`. Each has the titles that the user had last
      in training, newest first, and the five best recommended with their predicted rating and whether the user has
      them in the held-out part (`hit`).
    """
    everything = split.everything()
    low, high = pc.min_max(everything[USER_RATING]).as_py().values()
    held_out = HeldOut.of(split, USERS_DRAWN, seed)
    index = held_out.ask(recommend, LIST_LENGTH)
    user, place = np.nonzero(index >= 0)
    pairs = pa.table(
        {USER_ID: held_out.users.take(pa.array(user)), MOVIE_TITLE: held_out.titles.take(pa.array(index[user, place]))}
    )
    rated = np.full(index.shape, np.nan)
    rated[user, place] = predict_rows(predict, pairs)
    test = split.test if split.test.num_rows else split.validation
    predicted, given = predict_rows(predict, test), test[USER_RATING].to_numpy()
    edges = np.linspace(low, high, BINS + 1)
    return {
        "data": _facts(everything),
        "calibration": _calibration(predicted, given),
        "ratings": {
            "middles": ((edges[:-1] + edges[1:]) / 2).tolist(),
            "held_out": _shares(predicted, edges),
            "recommended": _shares(rated[user, place], edges),
            "users": len(held_out.users),
        },
        "examples": _examples(held_out, index, rated, split.train, seed, user_ids),
    }


def _facts(table: pa.Table) -> dict[str, Any]:
    times, ratings = (pc.min_max(table[name]).as_py() for name in (TIMESTAMP, USER_RATING))
    first, last = (str(np.datetime64(times[end], "s").astype("datetime64[D]")) for end in ("min", "max"))
    return {
        "rows": table.num_rows,
        "users": pc.count_distinct(table[USER_ID]).as_py(),
        "titles": pc.count_distinct(table[MOVIE_TITLE]).as_py(),
        "first_day": first,
        "last_day": last,
        "lowest_rating": ratings["min"],
        "highest_rating": ratings["max"],
        "mean_rating": float(pc.mean(table[USER_RATING]).as_py()),
    }


def _calibration(predicted: np.ndarray, given: np.ndarray) -> list[dict[str, float]]:
    order = np.argsort(predicted, kind="stable")
    return [
        {
            "predicted": float(predicted[part].mean(dtype=np.float64)),
            "given": float(given[part].mean(dtype=np.float64)),
            "rows": len(part),
        }
        for part in np.array_split(order, 10)
        if len(part)
    ]


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return (counts / max(1, len(values))).tolist()


def _examples(
    held_out: HeldOut, index: np.ndarray, rated: np.ndarray, train: pa.Table, seed: int, user_ids: bool
) -> list[dict[str, Any]]:
    drawn = np.random.default_rng(seed).permutation(len(held_out.users))[:EXAMPLES]
    users = held_out.users.take(pa.array(drawn))
    rows = train.filter(pc.is_in(train[USER_ID], value_set=users))
    # Of rows of one second, the last in the table is the newest, as in a split of the last n.
    newest = np.lexsort((-np.arange(rows.num_rows), -rows[TIMESTAMP].to_numpy()))
    rows = rows.take(pa.array(newest))
    examples = []
    for number, (row, user) in enumerate(zip(drawn, users.to_pylist(), strict=True), 1):
        relevant = held_out.relevant[row : row + 1].indices
        titles = index[row][index[row] >= 0][:EXAMPLE_TITLES]
        examples.append(
            {
                "user": user if user_ids else f"User {number}",
                "had": int(row_lengths(held_out.seen)[row]),
                "last": rows.filter(pc.equal(rows[USER_ID], user))[MOVIE_TITLE][:EXAMPLE_TITLES].to_pylist(),
                "recommended": [
                    {
                        "title": held_out.titles[int(title)].as_py(),
                        "rating": float(rating),
                        "hit": bool(title in relevant),
                    }
                    for title, rating in zip(titles, rated[row], strict=False)
                ],
            }
        )
    return examples
