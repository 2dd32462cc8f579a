"""Counters of a run: added up by workers, read when the pipeline has ended."""

from __future__ import annotations

from collections.abc import Mapping

from apache_beam.metrics.metric import Metrics, MetricsFilter
from apache_beam.runners.runner import PipelineResult

NAMESPACE = "nightrank"
"""Of all our Beam metrics."""


def count(counts: Mapping[str, int]) -> None:
    """Add to the run's counters. Workers call this once for each block, not for each row."""
    for name, value in counts.items():
        Metrics.counter(NAMESPACE, name).inc(value)


def add_counts(total: dict[str, int], more: Mapping[str, int]) -> None:
    """Add the counts of `more` to `total`."""
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def counters_of(result: PipelineResult) -> dict[str, int]:
    """Our counters by name, each summed over the steps that have it."""
    total: dict[str, int] = {}
    for metric in result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]:
        value = metric.committed if metric.committed is not None else metric.attempted
        add_counts(total, {metric.key.metric.name: value})
    return total


def as_table(counters: Mapping[str, int]) -> str:
    """Counters as a small table of text, in the order given."""
    width = max(map(len, counters), default=0)
    return "\n".join(f"  {name.replace('_', ' '):{width}}  {value:>15,}" for name, value in counters.items())
