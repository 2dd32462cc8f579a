"""Measure predicted ratings, for users that training knows and for new ones, beside simple predictors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.contract import USER_ID, USER_RATING
from model.data.splits import Split
from model.evaluation.systems import MODEL
from model.metrics.rating import Metrics, Predictor, errors, measure_parts, predict_rows


@dataclass(frozen=True)
class RatingReport:
    """What `evaluate_ratings` found."""

    parts: dict[str, Metrics]
    """The model on every part of the split."""
    held_out: str | None
    """The part that `systems` are measured on: test, or validation where test has no rows; None without either."""
    systems: dict[str, dict[str, Metrics]]
    """By predictor, the model first; then `warm` (rows of users that the train part has), `cold` (the rest), `all`."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"parts": self.parts, "held_out": self.held_out, "systems": self.systems}


def evaluate_ratings(predict: Predictor, split: Split, baselines: Mapping[str, Predictor]) -> RatingReport:
    """Root mean squared error and mean absolute error of a predictor and of baselines on a split."""
    held_out = next((name for name in ("test", "validation") if split.parts[name].num_rows), None)
    systems: dict[str, dict[str, Metrics]] = {}
    parts = measure_parts(predict, split.parts)
    if held_out:
        table = split.parts[held_out]
        warm = known_users(table, split.train)
        given = table[USER_RATING].to_numpy()
        for name, system in {MODEL: predict, **baselines}.items():
            predicted = predict_rows(system, table)
            chosen = {"warm": warm, "cold": ~warm, "all": np.ones(len(warm), bool)}
            systems[name] = {rows: errors(predicted[kept], given[kept]) for rows, kept in chosen.items()}
    return RatingReport(parts, held_out, systems)


def known_users(table: pa.Table, train: pa.Table) -> np.ndarray:
    """`bool[rows]`: whether the user of each row of `table` also has a row in `train`."""
    return pc.is_in(table[USER_ID], value_set=pc.unique(train[USER_ID])).to_numpy()
