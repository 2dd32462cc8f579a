"""Whether a model may be used: better than a list of hits, no worse than the one before it, and of data that is whole.

What was decided and why is `blessed` in `model.json`; `beam_jobs.score` refuses a model that is not blessed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from model import storage
from model.contract import MODEL_FILE

POPULARITY = "popularity"
MODEL = "model"


@dataclass(frozen=True)
class Limits:
    """How much worse than the last blessed model may be chance."""

    ndcg_share: float = 0.05
    """NDCG may be less by this share."""
    rmse_share: float = 0.02
    """The RMSE of predicted ratings may be greater by this share."""
    shrunk_share: float = 0.1
    """Interactions, users and titles may be fewer by this share."""


def judge(
    description: Mapping[str, Any], finite: bool, former: Mapping[str, Any] | None, limits: Limits | None = None
) -> dict[str, Any]:
    """Decide by the figures of a model and of the last one that was blessed.

    Args:
      description: of the model, as `model.json` will have it: `metrics`, `ranking`, `data`, `vocabulary`, `split`.
      finite: whether all of its weights are finite.
      former: the same of the model that it takes the place of; None where there is none.
      limits: how strict.

    Returns:
      `blessed`, whether it may be used; `why`, a sentence for each rule that it breaks, or that it breaks none; and
      `reference`, the figures that the next model is held against: its own, or the former's where it is not blessed.
    """
    reference = (former or {}).get("blessed", {}).get("reference")
    own = figures(description)
    broken = [*_alone(description, finite), *(_beside(own, reference, limits or Limits()) if reference else ())]
    return {
        "blessed": not broken,
        "why": broken or [_praise(description, reference)],
        "reference": reference if broken else own,
    }


def former_description(folder: str) -> dict[str, Any] | None:
    """What `model.json` says of the model in `folder`, local or gs://; None where there is none that can be read."""
    path = storage.join(folder, MODEL_FILE)
    if not storage.exists(path):
        return None
    with storage.open_input(path) as file:
        try:
            description = json.loads(file.read())
        except ValueError:
            return None
    return description if isinstance(description, dict) else None


def figures(description: Mapping[str, Any]) -> dict[str, Any]:
    """What later models are held against."""
    ranking = description["ranking"]
    return {
        "model_version": description["model_version"],
        "split": description["split"]["name"],
        "ndcg": ranking["systems"][MODEL]["metrics"]["ndcg"]["mean"] if ranking else None,
        "rmse": description["metrics"]["test"]["rmse"],
        "sizes": {"interactions": description["data"]["rows"], **description["vocabulary"]},
    }


def _alone(description: Mapping[str, Any], finite: bool) -> Iterator[str]:
    if not finite:
        yield "Some of its weights are not finite numbers; train it anew, with a lower learning rate or cleaner data."
    for part, metrics in description["metrics"].items():
        if metrics["rmse"] is not None and not math.isfinite(metrics["rmse"]):
            yield f"Its RMSE on the {part} part is {metrics['rmse']}."
    ranking = description["ranking"]
    if not ranking:
        yield "Its recommendations were not measured: nothing was held out; train with --split last_n --refit."
        return
    difference = ranking["differences"][POPULARITY]
    if not difference["low"] > 0:
        yield (
            f"Its NDCG@{ranking['protocol']['k']} is not clearly above that of the most popular titles: the difference "
            f"is {difference['mean']:+.4f}, between {difference['low']:+.4f} and {difference['high']:+.4f}."
        )


def _beside(own: Mapping[str, Any], former: Mapping[str, Any], limits: Limits) -> Iterator[str]:
    version = former["model_version"]
    if own["split"] == former["split"]:
        ndcg, least = own["ndcg"], (former["ndcg"] or 0) * (1 - limits.ndcg_share)
        if ndcg is not None and ndcg < least:
            yield f"Its NDCG is {ndcg:.4f}; {version} had {former['ndcg']:.4f}, and {least:.4f} would pass."
        rmse, most = own["rmse"], (former["rmse"] or math.inf) * (1 + limits.rmse_share)
        if rmse is not None and rmse > most:
            yield f"Its RMSE is {rmse:.4f}; {version} had {former['rmse']:.4f}, and {most:.4f} would pass."
    for what, size in own["sizes"].items():
        least = former["sizes"][what] * (1 - limits.shrunk_share)
        if size < least:
            yield f"It has {size:,} {what}; {version} had {former['sizes'][what]:,}, {math.ceil(least):,} would pass."


def _praise(description: Mapping[str, Any], reference: Mapping[str, Any] | None) -> str:
    difference = description["ranking"]["differences"][POPULARITY]
    words = (
        f"Its NDCG@{description['ranking']['protocol']['k']} is above that of the most popular titles by "
        f"{difference['mean']:.4f}, at least {difference['low']:.4f}"
    )
    return f"{words}; none is worse than allowed beside {reference['model_version']}." if reference else f"{words}."
