"""The gate: decide whether a model may be used.

A model passes if it beats a list of the most popular titles, is no worse than the last model that passed, and its data
has not shrunk. `model.json` records the decision and the reasons as `blessed`, and `beam_jobs.score` refuses a model
that did not pass.
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
    """How much worse than the last blessed model a model may be."""

    ndcg_share: float = 0.05
    """NDCG may be lower by this share."""
    rmse_share: float = 0.02
    """The RMSE of predicted ratings may be higher by this share."""
    shrunk_share: float = 0.1
    """There may be fewer interactions, users and titles by this share."""


def judge(
    description: Mapping[str, Any], finite: bool, previous: Mapping[str, Any] | None, limits: Limits | None = None
) -> dict[str, Any]:
    """Decide whether a model passes, from its figures and those of the last blessed model.

    Args:
      description: the model's `metrics`, `ranking`, `data`, `vocabulary`, `split` and version, as for `model.json`.
      finite: whether all of its weights are finite.
      previous: the `model.json` of the model that it replaces; None if there is none.
      limits: how much worse it may be.

    Returns:
      `blessed`, whether it passes; `why`, a sentence for each rule that it breaks, or one that says why it passes; and
      `reference`, the figures that the next model must match: its own, or those of the last blessed model if it fails.
    """
    reference = (previous or {}).get("blessed", {}).get("reference")
    own = figures(description)
    failures = list(_own_failures(description, finite))
    if reference:
        failures += _regressions(own, reference, limits or Limits())
    return {
        "blessed": not failures,
        "why": failures or [_success(description, reference)],
        "reference": reference if failures else own,
    }


def previous_description(folder: str) -> dict[str, Any] | None:
    """The `model.json` of the model in `folder`, local or gs://; None if there is none that can be read."""
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
    """The figures of a model that later models are compared with."""
    ranking = description["ranking"]
    return {
        "model_version": description["model_version"],
        "split": description["split"]["name"],
        "ndcg": ranking["systems"][MODEL]["metrics"]["ndcg"]["mean"] if ranking else None,
        "rmse": description["metrics"]["test"]["rmse"],
        "sizes": {"interactions": description["data"]["rows"], **description["vocabulary"]},
    }


def _own_failures(description: Mapping[str, Any], finite: bool) -> Iterator[str]:
    if not finite:
        yield "Some weights are not finite numbers; train it again with a lower learning rate or cleaner data."
    for part, metrics in description["metrics"].items():
        if metrics["rmse"] is not None and not math.isfinite(metrics["rmse"]):
            yield f"RMSE on the {part} part is {metrics['rmse']}."
    ranking = description["ranking"]
    if not ranking:
        yield "Its recommendations were not measured, because no data was held out; train it with the last_n split."
        return
    difference = ranking["differences"][POPULARITY]
    if not difference["low"] > 0:
        yield (
            f"NDCG@{ranking['protocol']['k']} does not clearly beat the most popular titles: the difference is "
            f"{_with_interval(difference)}."
        )


def _regressions(own: Mapping[str, Any], reference: Mapping[str, Any], limits: Limits) -> Iterator[str]:
    version = reference["model_version"]
    # Figures of another split measure something else.
    if own["split"] == reference["split"]:
        ndcg, least = own["ndcg"], (reference["ndcg"] or 0) * (1 - limits.ndcg_share)
        if ndcg is not None and ndcg < least:
            yield f"NDCG is {ndcg:.4f}; it must be at least {least:.4f}, as {version} had {reference['ndcg']:.4f}."
        rmse, most = own["rmse"], (reference["rmse"] or math.inf) * (1 + limits.rmse_share)
        if rmse is not None and rmse > most:
            yield f"RMSE is {rmse:.4f}; it must be at most {most:.4f}, as {version} had {reference['rmse']:.4f}."
    for what, size in own["sizes"].items():
        before = reference["sizes"][what]
        least = before * (1 - limits.shrunk_share)
        if size < least:
            yield f"It has {size:,} {what}; it must have at least {math.ceil(least):,}, as {version} had {before:,}."


def _success(description: Mapping[str, Any], reference: Mapping[str, Any] | None) -> str:
    ranking = description["ranking"]
    difference = _with_interval(ranking["differences"][POPULARITY])
    beats = f"NDCG@{ranking['protocol']['k']} beats the most popular titles by {difference}"
    return f"{beats}, and no figure is much worse than with {reference['model_version']}." if reference else f"{beats}."


def _with_interval(difference: Mapping[str, float]) -> str:
    return f"{difference['mean']:.4f} (95% CI {difference['low']:.4f} to {difference['high']:.4f})"
