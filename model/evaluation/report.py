"""Evaluation reports as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from model.evaluation import baselines, rating_evaluation
from model.evaluation.ranking_evaluation import MODEL, RankingReport, Segment
from model.evaluation.rating_evaluation import RatingReport
from model.metrics.ranking import Interval
from model.metrics.rating import Metrics

LABELS = {MODEL: MODEL, **rating_evaluation.LABELS, **baselines.LABELS}
RATING_LABELS = {**LABELS, **rating_evaluation.LABELS}
WIDTH = 30


def render_ranking(report: RankingReport) -> str:
    """The protocol, then tables: recommenders, differences, segments."""
    return "\n".join([*_protocol(report), "", *_systems(report), "", *_segments(report)])


def render_ratings(report: RatingReport) -> str:
    """Errors on the held-out part, of users that training has, of others and of all."""
    if not report.held_out:
        return "no rows are held out to measure predicted ratings on"
    head = "".join(f"{rows + ' rows':>12}{'RMSE':>9}{'MAE':>9}" for rows in ("warm", "cold", "all"))
    lines = [f"{report.held_out + ' part':{WIDTH}}{head}"]
    for name, measured in report.systems.items():
        lines.append(f"{RATING_LABELS.get(name, name):{WIDTH}}" + "".join(map(_errors, measured.values())))
    return "\n".join([*lines, "warm: of users that the train part has; cold: of others"])


def _errors(metrics: Metrics) -> str:
    numbers = ("-" if metrics[name] is None else f"{metrics[name]:.4f}" for name in ("rmse", "mae"))
    return f"{metrics['rows']:12,}" + "".join(f"{number:>9}" for number in numbers)


def _protocol(report: RankingReport) -> Iterator[str]:
    yield from report.protocol["words"]
    for name, why in report.left_out.items():
        yield f"No {LABELS.get(name, name)}: {why}."


def _systems(report: RankingReport) -> Iterator[str]:
    k = report.protocol["k"]
    heads = (f"NDCG@{k}", f"recall@{k}", f"MRR@{k}", f"hits@{k}")
    yield f"{'':{WIDTH}}" + "".join(f"{head:>22}" for head in heads) + f"{'titles':>9}{'novelty':>9}{'pop. bias':>10}"
    for name, system in report.systems.items():
        intervals = "".join(f"{_interval(value):>22}" for value in system.metrics.values())
        bits = "-" if system.novelty is None else f"{system.novelty:.2f}"
        bias = "-" if system.popularity_bias is None else f"{system.popularity_bias:+.3f}"
        yield f"{LABELS.get(name, name):{WIDTH}}{intervals}{system.titles:9,}{bits:>9}{bias:>10}"
    for name, difference in report.differences.items():
        best = ", the best baseline" if name == report.best_baseline else ""
        yield f"NDCG@{k} of the model less {LABELS.get(name, name)}{best}: {_difference(difference)}"


def _segments(report: RankingReport) -> Iterator[str]:
    k = report.protocol["k"]
    yield f"NDCG@{k} by titles in training"
    yield f"{'':18}{'users':>9}" + "".join(f"{LABELS.get(name, name):>30}" for name in report.systems)
    for segment in report.segments:
        yield f"{segment.name:18}{segment.users:9,}" + "".join(f"{_ndcg(segment, name):>30}" for name in report.systems)
    yield "new titles: their users' lists measured on the titles alone that nobody has in training"


def _ndcg(segment: Segment, name: str) -> str:
    return _interval(segment.metrics[name]["ndcg"]) if segment.users else "-"


def _interval(value: Interval) -> str:
    return f"{value.mean:.3f} [{value.low:.3f} {value.high:.3f}]"


def _difference(value: Interval) -> str:
    return f"{value.mean:+.4f} [{value.low:+.4f} {value.high:+.4f}]"
