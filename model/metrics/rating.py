"""How far predicted ratings are from the given ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from model.contract import MOVIE_TITLE, USER_ID, USER_RATING

Predictor = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""B user ids and B titles, two arrays -> `float32[B]`, the predicted rating of each pair."""

Metrics = dict[str, float | int | None]
"""`rmse`, `mae` and `rows` of one part of a split; the errors are None where the part has no rows."""

BATCH = 8_192


def measure(predict: Predictor, table: pa.Table) -> Metrics:
    """Root mean squared error and mean absolute error of the predicted ratings of `table`, None where it is empty."""
    return errors(predict_rows(predict, table), table[USER_RATING].to_numpy())


def predict_rows(predict: Predictor, table: pa.Table) -> np.ndarray:
    """`float32[rows]`: the predicted rating of each row of `table`."""
    return np.concatenate([np.empty(0, np.float32), *_predictions(predict, table)])


def errors(predicted: np.ndarray, given: np.ndarray) -> Metrics:
    """The metrics of `predicted` ratings, `float[rows]`, against those `given`; None where there are no rows."""
    if not len(given):
        return {"rmse": None, "mae": None, "rows": 0}
    error = predicted.astype(np.float64) - given
    return {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error))), "rows": len(given)}


def measure_parts(predict: Predictor, parts: Mapping[str, pa.Table]) -> dict[str, Metrics]:
    """`measure` on every part of a split."""
    return {name: measure(predict, table) for name, table in parts.items()}


def _predictions(predict: Predictor, table: pa.Table) -> Iterator[np.ndarray]:
    for batch in table.select([USER_ID, MOVIE_TITLE]).to_batches(max_chunksize=BATCH):
        yield predict(batch.column(0).to_numpy(False), batch.column(1).to_numpy(False))
