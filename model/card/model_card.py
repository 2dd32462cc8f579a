"""The model card: one HTML page that tells decision makers what a model is, and is not, good for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2

from model.card.charts import IntervalChart, LineChart
from model.card.learning import learning_curves
from model.evaluation.systems import LABELS, MODEL, RATING_LABELS

Report = Mapping[str, Any]

METRICS = {
    "ndcg": ("List quality (NDCG)", "from 0 to 1: 1 if all that a user went on to watch stood at the top of the list"),
    "recall": ("Share found (recall)", "how much of what a user went on to watch was in the list"),
    "mrr": ("First hit (MRR)", "1 if the first title of the list was watched, 1/2 if only the second, and so on"),
    "hit_rate": ("Users with a hit", "the share of users who watched at least one title of their list"),
}
"""The name and the meaning of each metric."""


def write_card(
    path: Path, description: Report, ranking: Report | None, ratings: Report, history: Mapping[str, Any], data: Report
) -> None:
    """Write the card, one HTML file that refers to nothing outside itself.

    Args:
      path: of the file, in a folder that exists.
      description: what `model.json` says. `model_kind`, `score_kind` and `model_version` are required. The gate's
        verdict is `blessed`: `{"blessed": bool, "why": [sentences]}`; `created_at` is an ISO 8601 time.
      ranking: `RankingReport.as_dict()`; None where no list was measured.
      ratings: `RatingReport.as_dict()`.
      history: learning curves; by name of the metric, a value for each pass. `val_` begins those on validation rows.
      data: what `model.card.figures.card_data` returns.
    """
    page = (
        _environment()
        .get_template("card.html")
        .render(
            description=description,
            made_at=_made_at(description.get("created_at")),
            model=MODEL,
            metrics=METRICS,
            ranking=ranking,
            charts=_ranking_charts(ranking) if ranking else {},
            ratings=ratings,
            rating_charts=_rating_charts(data) if ratings["held_out"] else {},
            curves=list(learning_curves(history)),
            data=data,
        )
    )
    path.write_text(page, encoding="utf-8")


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("model.card"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        form=lambda value, form: "-" if value is None else f"{value:{form}}",
        interval=lambda value, form=".3f": f"{value['mean']:{form}}\n({value['low']:{form}} to {value['high']:{form}})",
        label=lambda name: LABELS.get(name, name),
        rating_label=lambda name: RATING_LABELS.get(name, name),
    )
    return environment


def _made_at(created_at: str | None) -> str | None:
    if created_at is None:
        return None
    made = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
    return f"{made.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _ranking_charts(ranking: Report) -> dict[str, Any]:
    def row(name: str, value: Report) -> tuple[str, float, float, float]:
        return LABELS.get(name, name), value["mean"], value["low"], value["high"]

    curves = {LABELS.get(name, name): report["exposure"] for name, report in ranking["systems"].items()}
    curves["what users watched"] = ranking["training_interactions"]["exposure"]
    shares = {
        label: [(100 * place / (len(curve) - 1), 100 * share) for place, share in enumerate(curve)]
        for label, curve in curves.items()
    }
    differences = [row(name, value) for name, value in ranking["differences"].items()]
    return {
        **{
            metric: IntervalChart.of(
                [row(name, report["metrics"][metric]) for name, report in ranking["systems"].items()]
            )
            for metric in METRICS
        },
        "differences": IntervalChart.of(differences, "+.4f", mark_zero=True) if differences else None,
        "exposure": LineChart.of(
            shares, "most recommended titles, % of catalogue", "share of recommendations, %", from_zero=True
        ),
    }


def _rating_charts(data: Report) -> dict[str, LineChart]:
    ratings = data["ratings"]
    calibration = {"ten groups of ratings": [(part["predicted"], part["given"]) for part in data["calibration"]]}
    spread = {
        label: [(middle, 100 * share) for middle, share in zip(ratings["middles"], ratings[name], strict=True)]
        for name, label in (("held_out", "all hidden ratings"), ("recommended", "titles that are recommended"))
    }
    return {
        "calibration": LineChart.of(calibration, "predicted, stars", "given by users, stars", diagonal=True, dots=True),
        "spread": LineChart.of(spread, "predicted rating, stars", "share, %", from_zero=True),
    }
