"""Evaluation reports as text, at most 80 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from model.evaluation.ranking_evaluation import RankingReport
from model.evaluation.rating_evaluation import RatingReport
from model.evaluation.systems import LABELS, RATING_LABELS, SHORT_LABELS
from model.metrics.ranking import Interval
from model.metrics.rating import Metrics

WIDTH = 80
_LABEL = 28


def render_ranking(report: RankingReport) -> str:
    """The protocol, then tables: metrics, differences to the baselines, spread over the catalogue, segments."""
    tables = (_protocol, _metrics, _differences, _spread, _segments)
    return "\n\n".join("\n".join(table(report)) for table in tables)


def render_ratings(report: RatingReport) -> str:
    """Errors of the model on each part, then those of all predictors on the held-out part by kind of user."""
    return "\n\n".join("\n".join(table(report)) for table in (_parts, _predictors))


def _protocol(report: RankingReport) -> Iterator[str]:
    for words in report.protocol["words"]:
        yield from _wrapped(words)
    for name, why in report.left_out.items():
        yield from _wrapped(f"{LABELS.get(name, name)} is missing: {why}.")


def _metrics(report: RankingReport) -> Iterator[str]:
    k = report.protocol["k"]
    heads = (f"NDCG@{k}", f"recall@{k}", f"MRR@{k}", f"hits@{k}")
    yield f"{'mean and 95% CI':{_LABEL}}" + "".join(f"{head:>13}" for head in heads)
    for name, system in report.systems.items():
        values = list(system.metrics.values())
        yield f"{LABELS.get(name, name):{_LABEL}}" + "".join(f"{value.mean:13.3f}" for value in values)
        yield " " * _LABEL + "".join(f"{_range(value):>13}" for value in values)


def _differences(report: RankingReport) -> Iterator[str]:
    k = report.protocol["k"]
    yield f"{f'NDCG@{k} of the model less':{_LABEL}}{'mean':>9}  95% CI"
    for name, value in report.differences.items():
        best = "  best baseline" if name == report.best_baseline else ""
        interval = f"{value.low:.4f} to {value.high:.4f}"
        yield f"{LABELS.get(name, name):{_LABEL}}{value.mean:+9.4f}  {interval:17}{best}".rstrip()


def _spread(report: RankingReport) -> Iterator[str]:
    yield f"{'what is recommended':{_LABEL}}{'titles':>13}{'coverage':>13}{'novelty':>13}{'pop. bias':>13}"
    for name, system in report.systems.items():
        bits = _optional(system.novelty, ".2f")
        bias = _optional(system.popularity_bias, "+.3f")
        yield f"{LABELS.get(name, name):{_LABEL}}{system.titles:13,}{system.coverage:13.1%}{bits:>13}{bias:>13}"


def _segments(report: RankingReport) -> Iterator[str]:
    heads = "".join(f"{SHORT_LABELS.get(name, name):>12}" for name in report.systems)
    yield f"NDCG@{report.protocol['k']} by titles in training"
    yield f"{'':12}{'users':>8}{heads}"
    for segment in report.segments:
        values = [segment.metrics[name]["ndcg"] if segment.users else None for name in report.systems]
        means = "".join(f"{_optional(value.mean if value else None, '.3f'):>12}" for value in values)
        yield f"{_segment_label(segment.name):12}{segment.users:8,}{means}"
        if segment.users:
            yield " " * 20 + "".join(f"{_range(value):>12}" for value in values if value)
    yield from _wrapped("new titles: those that nobody has in training, for the users to whom one is relevant")


def _segment_label(name: str) -> str:
    return name if name.startswith("new") else name.replace(" titles", "")


def _parts(report: RatingReport) -> Iterator[str]:
    yield f"{'predicted ratings':{_LABEL}}{'rows':>10}{'RMSE':>9}{'MAE':>9}"
    for part, metrics in report.parts.items():
        yield f"{f'model, {part} part':{_LABEL}}{metrics['rows']:10,}{_errors(metrics)}"


def _predictors(report: RatingReport) -> Iterator[str]:
    if not report.held_out:
        yield "no rows are held out to measure predicted ratings on"
        return
    counts = next(iter(report.systems.values()))
    head = {"warm": "known users", "cold": "new users", "all": "all rows"}
    yield f"{'':{_LABEL}}" + "".join(f"{head[rows]:>17}" for rows in counts)
    yield f"{f'{report.held_out} part, rows':{_LABEL}}" + "".join(f"{one['rows']:17,}" for one in counts.values())
    yield f"{'':{_LABEL}}" + f"{'RMSE':>9}{'MAE':>8}" * len(counts)
    for name, measured in report.systems.items():
        yield f"{RATING_LABELS.get(name, name):{_LABEL}}" + "".join(_errors(one, 8) for one in measured.values())


def _errors(metrics: Metrics, width: int = 9) -> str:
    return f"{_optional(metrics['rmse'], '.4f'):>9}{_optional(metrics['mae'], '.4f'):>{width}}"


def _range(value: Interval) -> str:
    return f"{value.low:.3f}-{value.high:.3f}"


def _optional(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _wrapped(words: str) -> list[str]:
    return textwrap.wrap(words, WIDTH, subsequent_indent="  ")
