"""The protocol by which lists of recommendations are measured, as one plain function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from model.data.splits import Split
from model.evaluation.held_out import HeldOut
from model.evaluation.top_n import Recommend
from model.metrics.ranking import (
    CONFIDENCE,
    RESAMPLES,
    Interval,
    UserMetrics,
    count_titles,
    exposure_curve,
    interval,
    mean_percentile,
    measure_users,
    novelty,
    resample_means,
)

MODEL = "model"
"""The name in a report of what is measured; the others are baselines."""

HISTORY_LENGTHS = ((0, 0), (1, 5), (6, 20), (21, 100), (101, None))
"""Segments of users by how many titles they have in training, both ends included."""


@dataclass(frozen=True)
class SystemReport:
    """One recommender over all users."""

    metrics: dict[str, Interval]
    """By the names of `UserMetrics`."""
    titles: int
    """Distinct titles recommended."""
    coverage: float
    """The same as a share of the catalogue."""
    novelty: float | None
    """In bits, see `model.metrics.ranking.novelty`."""
    popularity: float | None
    """Mean popularity percentile of what is recommended, from 0 to 1."""
    popularity_bias: float | None
    """The same less that of what users have in training: above 0, hits are recommended more than they are watched."""
    exposure: list[float]
    """See `model.metrics.ranking.exposure_curve`."""


@dataclass(frozen=True)
class Segment:
    """All recommenders on some of the users, or on some of what is relevant to them."""

    name: str
    users: int
    metrics: dict[str, dict[str, Interval]]
    """By recommender, then metric; empty where there are no users."""
    differences: dict[str, Interval]
    """By baseline, NDCG of the model less that of the baseline, paired."""


@dataclass(frozen=True)
class RankingReport:
    """What `evaluate_ranking` found."""

    protocol: dict[str, Any]
    """`words`, a list of sentences, and the numbers in them by name."""
    systems: dict[str, SystemReport]
    """The model first, then the baselines."""
    differences: dict[str, Interval]
    """By baseline, NDCG of the model less that of the baseline, paired: both measured on the same users drawn."""
    best_baseline: str | None
    """The one of highest NDCG."""
    segments: list[Segment]
    watched: dict[str, Any]
    """`popularity` and `exposure`, as of a system, of what users have in training."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Baselines that could not be fitted, and why."""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


def evaluate_ranking(
    recommend: Recommend,
    split: Split,
    baselines: Mapping[str, Recommend],
    k: int = 10,
    seed: int = 0,
    *,
    max_users: int | None = None,
    left_out: Mapping[str, str] | None = None,
) -> RankingReport | None:
    """Measure a recommender and baselines on what a split holds out.

    Every user of the test part who has a title there that they do not have in the train part gets a list of k from the
    whole catalogue, the titles of all parts, without what they have in the train part. Their titles of the test part,
    whatever the rating, are what the list should hold. Users are asked about in blocks, so that memory is bounded by
    what a block takes, k whole numbers and four metrics a user and recommender, and the baselines themselves.

    Args:
      recommend: what is measured, fitted to the train part alone.
      split: with a train part that has rows.
      baselines: by name; likewise.
      k: the length of the lists, at least 1.
      seed: of the bootstrap, and of the users where they are sampled.
      max_users: measure so many users, drawn at random, where there are more; None measures all.
      left_out: baselines that are missing and why, for the report.

    Returns:
      The report; None where no user has a title to be found.
    """
    held_out = HeldOut.of(split, max_users, seed)
    if not len(held_out.users):
        return None
    lists = {name: held_out.ask(system, k) for name, system in {MODEL: recommend, **baselines}.items()}
    relevant = held_out.relevant
    columns = {
        name: measure_users(index, relevant.values, relevant.row_splits).columns() for name, index in lists.items()
    }
    metrics, differences = _summarise(columns, seed)
    return RankingReport(
        protocol=_protocol(held_out, split, k, seed),
        systems={name: _system(metrics[name], index, held_out) for name, index in lists.items()},
        differences=differences,
        best_baseline=max(baselines, key=lambda name: metrics[name]["ndcg"].mean, default=None),
        segments=list(_segments(columns, lists, held_out, seed)),
        watched={
            "popularity": mean_percentile(held_out.owners, held_out.owners),
            "exposure": exposure_curve(held_out.owners),
        },
        left_out=dict(left_out or {}),
    )


def _summarise(
    columns: Mapping[str, np.ndarray], seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval]]:
    """Each recommender's metrics, `float64[U, 4]`, as intervals, and the differences in NDCG to the model's."""
    names, count = UserMetrics.names(), len(UserMetrics.names())
    together = np.concatenate(list(columns.values()), axis=1)
    means, resampled = together.mean(axis=0), resample_means(together, seed)
    intervals = [interval(mean, drawn) for mean, drawn in zip(means, resampled.T, strict=True)]
    metrics = {
        system: dict(zip(names, intervals[place : place + count], strict=True))
        for system, place in zip(columns, range(0, len(intervals), count), strict=True)
    }
    ndcg = dict(zip(columns, range(0, len(means), count), strict=True))
    own = ndcg.pop(MODEL)
    differences = {
        baseline: interval(means[own] - means[other], resampled[:, own] - resampled[:, other])
        for baseline, other in ndcg.items()
    }
    return metrics, differences


def _system(metrics: dict[str, Interval], index: np.ndarray, held_out: HeldOut) -> SystemReport:
    times = count_titles(index, len(held_out.titles))
    popularity = mean_percentile(times, held_out.owners)
    watched = mean_percentile(held_out.owners, held_out.owners)
    return SystemReport(
        metrics=metrics,
        titles=int((times > 0).sum()),
        coverage=float((times > 0).mean()),
        novelty=novelty(times, held_out.owners, held_out.train_users),
        popularity=popularity,
        popularity_bias=None if popularity is None or watched is None else popularity - watched,
        exposure=exposure_curve(times),
    )


def _segments(
    columns: Mapping[str, np.ndarray], lists: Mapping[str, np.ndarray], held_out: HeldOut, seed: int
) -> Iterator[Segment]:
    lengths = held_out.seen.lengths
    for low, high in HISTORY_LENGTHS:
        chosen = (lengths >= low) & (lengths <= (lengths.max() if high is None else high))
        name = "new users" if high == 0 else f"{low} to {high} titles" if high else f"{low} titles or more"
        yield _segment(name, {system: values[chosen] for system, values in columns.items()}, seed)
    # Found or not among the new titles alone: of a user's relevant titles, those that nobody has in training.
    new = held_out.relevant.where(held_out.owners[held_out.relevant.values] == 0)
    chosen = new.lengths > 0
    found = {name: measure_users(index, new.values, new.row_splits).columns()[chosen] for name, index in lists.items()}
    yield _segment("new titles", found, seed)


def _segment(name: str, columns: Mapping[str, np.ndarray], seed: int) -> Segment:
    users = len(columns[MODEL])
    metrics, differences = _summarise(columns, seed) if users else ({}, {})
    return Segment(name, users, metrics, differences)


def _protocol(held_out: HeldOut, split: Split, k: int, seed: int) -> dict[str, Any]:
    numbers = {
        "split": split.name,
        "k": k,
        "users": len(held_out.users),
        "users_not_sampled": held_out.eligible_users - len(held_out.users),
        "users_without_relevant": held_out.test_users - held_out.eligible_users,
        "new_users": int((held_out.seen.lengths == 0).sum()),
        "titles": len(held_out.titles),
        "new_titles": int((held_out.owners == 0).sum()),
        "relevant": len(held_out.relevant.values),
        "already_had": held_out.already_had,
        "train_rows": split.train.num_rows,
        "test_rows": split.test.num_rows,
        "resamples": RESAMPLES,
        "confidence": CONFIDENCE,
        "seed": seed,
    }
    words = [
        f"{numbers['users']:,} users of the test part ({numbers['new_users']:,} of them new) get the best {k} of all "
        f"{numbers['titles']:,} titles, without those that they have in training.",
        f"What a list should hold is the user's titles of the test part, whatever the rating: {numbers['relevant']:,} "
        f"in all; {numbers['already_had']:,} that the user had already do not count.",
        f"Left out: {numbers['users_without_relevant']:,} users of the test part to whom no title is relevant"
        + (f", and {numbers['users_not_sampled']:,} not drawn." if numbers["users_not_sampled"] else "."),
        f"Intervals: {CONFIDENCE:.0%}, percentile bootstrap over users, {RESAMPLES:,} resamples, seed {seed}; "
        "differences are paired.",
    ]
    return {"words": words, **numbers}
