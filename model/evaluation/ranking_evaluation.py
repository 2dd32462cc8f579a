"""Measure lists of recommendations on what a split holds out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from model.data.splits import Split
from model.evaluation.held_out import HeldOut
from model.evaluation.interaction_matrix import row_lengths
from model.evaluation.systems import MODEL
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

HISTORY_LENGTHS = ((0, 0), (1, 5), (6, 20), (21, 100), (101, None))
"""Users are segmented by how many titles they have in training; both ends are included."""


@dataclass(frozen=True)
class SystemReport:
    """One recommender over all users."""

    metrics: dict[str, Interval]
    """By the names of `UserMetrics`."""
    titles: int
    """How many distinct titles are recommended."""
    coverage: float
    """`titles` as a share of the catalogue."""
    novelty: float | None
    """In bits, see `model.metrics.ranking.novelty`."""
    popularity: float | None
    """Mean popularity percentile of what is recommended, from 0 to 1."""
    popularity_bias: float | None
    """`popularity` less that of the training interactions; above 0, hits are recommended more than they are watched."""
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
    """By baseline: NDCG of the model less that of the baseline, on the same users."""


@dataclass(frozen=True)
class RankingReport:
    """What `evaluate_ranking` found."""

    protocol: dict[str, Any]
    """`words`, a list of sentences, and by name the numbers in them."""
    systems: dict[str, SystemReport]
    """The model first, then the baselines."""
    differences: dict[str, Interval]
    """By baseline: NDCG of the model less that of the baseline; each resample draws the same users for both."""
    best_baseline: str | None
    """The baseline of highest NDCG."""
    segments: list[Segment]
    training_interactions: dict[str, Any]
    """`popularity` and `exposure`, as in `SystemReport`, of the titles that users have in training."""
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

    A title of the test part is relevant to its user, whatever the rating, unless the user has it in the train part.
    Each user with a relevant title gets a list of k titles. The list is drawn from the whole catalogue, the titles of
    all parts, without those that the user has in the train part. Users are asked about in blocks. Memory therefore
    holds one block, k integers and four metrics for each user and recommender, and the baselines themselves.

    Args:
      recommend: what is measured, fitted to the train part alone.
      split: with a train part that has rows.
      baselines: by name, fitted to the train part alone.
      k: the length of the lists, at least 1.
      seed: of the bootstrap, and of the users where they are sampled.
      max_users: measure at most this many users, drawn at random; None measures all.
      left_out: the baselines that are missing, each with the reason, for the report.

    Returns:
      The report; None where no user has a relevant title.
    """
    held_out = HeldOut.of(split, max_users, seed)
    if not len(held_out.users):
        return None
    lists = {name: held_out.ask(system, k) for name, system in {MODEL: recommend, **baselines}.items()}
    relevant = held_out.relevant
    columns = {name: measure_users(index, relevant.indices, relevant.indptr).columns() for name, index in lists.items()}
    metrics, differences = _summarise(columns, seed)
    return RankingReport(
        protocol=_protocol(held_out, split, k, seed),
        systems={name: _system(metrics[name], index, held_out) for name, index in lists.items()},
        differences=differences,
        best_baseline=max(baselines, key=lambda name: metrics[name]["ndcg"].mean, default=None),
        segments=list(_segments(columns, lists, held_out, seed)),
        training_interactions={
            "popularity": mean_percentile(held_out.owners, held_out.owners),
            "exposure": exposure_curve(held_out.owners),
        },
        left_out=dict(left_out or {}),
    )


def _summarise(
    columns: Mapping[str, np.ndarray], seed: int
) -> tuple[dict[str, dict[str, Interval]], dict[str, Interval]]:
    """Intervals of each recommender's metrics, `float64[U, 4]`, and of the model's NDCG less each baseline's."""
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
    usual = mean_percentile(held_out.owners, held_out.owners)
    return SystemReport(
        metrics=metrics,
        titles=int((times > 0).sum()),
        coverage=float((times > 0).mean()),
        novelty=novelty(times, held_out.owners, held_out.train_users),
        popularity=popularity,
        popularity_bias=None if popularity is None or usual is None else popularity - usual,
        exposure=exposure_curve(times),
    )


def _segments(
    columns: Mapping[str, np.ndarray], lists: Mapping[str, np.ndarray], held_out: HeldOut, seed: int
) -> Iterator[Segment]:
    lengths = row_lengths(held_out.seen)
    for low, high in HISTORY_LENGTHS:
        chosen = (lengths >= low) & (lengths <= (lengths.max() if high is None else high))
        name = "new users" if high == 0 else f"{low} to {high} titles" if high else f"{low} titles or more"
        yield _segment(name, {system: values[chosen] for system, values in columns.items()}, seed)
    # The same lists, measured on the relevant titles that nobody has in training.
    new = held_out.relevant_where(held_out.owners == 0)
    chosen = row_lengths(new) > 0
    found = {name: measure_users(index, new.indices, new.indptr).columns()[chosen] for name, index in lists.items()}
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
        "new_users": int((row_lengths(held_out.seen) == 0).sum()),
        "titles": len(held_out.titles),
        "new_titles": int((held_out.owners == 0).sum()),
        "relevant": held_out.relevant.nnz,
        "already_had": held_out.already_had,
        "train_rows": split.train.num_rows,
        "test_rows": split.test.num_rows,
        "resamples": RESAMPLES,
        "confidence": CONFIDENCE,
        "seed": seed,
    }
    sampled = f"; {numbers['users_not_sampled']:,} more were not drawn" if numbers["users_not_sampled"] else ""
    words = [
        f"Each of {numbers['users']:,} test users ({numbers['new_users']:,} of them new) gets the best {k} of all "
        f"{numbers['titles']:,} titles, without those that the user has in training{sampled}.",
        f"Relevant are the user's titles of the test part, whatever the rating: {numbers['relevant']:,} in all. "
        f"{numbers['already_had']:,} more do not count, because the user had them in training.",
        f"{numbers['users_without_relevant']:,} test users have no relevant title and are left out.",
        f"Intervals: {CONFIDENCE:.0%}, percentile bootstrap over users, {RESAMPLES:,} resamples, seed {seed}; "
        "differences are paired.",
    ]
    return {"words": words, **numbers}
