"""Metrics of recommendation lists, for each user and as means with confidence intervals. NumPy alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

RESAMPLES = 1_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class UserMetrics:
    """Each `float64[B]`, NaN for a user to whom no title is relevant.

    Below, r is the number of relevant titles of a user, and hit(i) is 1 if the title at rank i, from 1 to k, is one of
    them, else 0.
    """

    ndcg: np.ndarray
    """The sum of hit(i) / log2(i + 1) over the list, divided by the most that a list of k could reach: the sum of
    1 / log2(i + 1) over i from 1 to min(k, r). Binary gain (Järvelin and Kekäläinen, 2002)."""
    recall: np.ndarray
    """hits / r. It cannot reach 1 if r is more than k."""
    mrr: np.ndarray
    """1 / rank of the first hit, 0 if the list has none (Voorhees, 1999)."""
    hit_rate: np.ndarray
    """1 if the list has a hit, else 0."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The metrics in order."""
        return tuple(field.name for field in fields(cls))

    def columns(self) -> np.ndarray:
        """`float64[B, 4]`: a column for each of `names`."""
        return np.stack([getattr(self, name) for name in self.names()], axis=1)


@dataclass(frozen=True)
class Interval:
    """A mean over users and its 95% confidence interval, by the percentile bootstrap."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Plain JSON."""
        return asdict(self)


def find_hits(index: np.ndarray, relevant_values: np.ndarray, relevant_row_splits: np.ndarray) -> np.ndarray:
    """`bool[B, k]`: whether a recommended title is relevant to its user.

    Args:
      index: `int[B, k]`, title numbers, best first, no title twice in a list; -1 where a list is short.
      relevant_values: `int[S]`, the titles that are relevant to each user, no title twice for a user.
      relevant_row_splits: `int[B + 1]`; those of user b are `relevant_values[row_splits[b]:row_splits[b + 1]]`.

    Raises:
      ValueError: the number of lists differs from the number of rows of relevant titles.
    """
    if len(relevant_row_splits) != len(index) + 1:
        raise ValueError(f"{len(index)} lists, but {len(relevant_row_splits) - 1} rows of relevant titles")
    if not len(relevant_values):
        return np.zeros(index.shape, bool)
    size = 1 + max(int(index.max(initial=0)), int(relevant_values.max()))
    relevant = np.repeat(np.arange(len(index)), np.diff(relevant_row_splits)) * size + relevant_values
    relevant.sort()
    wanted = np.arange(len(index))[:, np.newaxis] * size + index
    place = np.minimum(np.searchsorted(relevant, wanted), len(relevant) - 1)
    return (relevant[place] == wanted) & (index >= 0)


def measure_users(index: np.ndarray, relevant_values: np.ndarray, relevant_row_splits: np.ndarray) -> UserMetrics:
    """The metrics of each user's list. Arguments and errors are those of `find_hits`."""
    hits = find_hits(index, relevant_values, relevant_row_splits)
    k = index.shape[1]
    relevant = np.diff(relevant_row_splits)
    gain = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(gain)])[np.minimum(relevant, k)]
    found = hits.any(axis=1)
    rank = 1 + (hits.argmax(axis=1) if k else 0)
    with np.errstate(invalid="ignore"):
        # Without a relevant title the first two are 0 / 0, which gives the NaN promised.
        metrics = (hits @ gain / ideal, hits.sum(axis=1) / relevant)
    nothing = np.where(relevant > 0, 0.0, np.nan)
    return UserMetrics(*metrics, mrr=found / rank + nothing, hit_rate=found + nothing)


def count_titles(index: np.ndarray, titles: int) -> np.ndarray:
    """`int64[titles]`: how often each title occurs in the lists `index`, `int[B, k]`."""
    return np.bincount(index[index >= 0], minlength=titles)


def novelty(times: np.ndarray, owners: np.ndarray, users: int) -> float | None:
    """Mean of -log2(share of the training users who have the title) over all recommendations, in bits.

    It is 0 if everybody has every recommended title; each further bit halves the users who have it. A title that nobody
    has counts as if one user had it. None if nothing was recommended. Mean self-information (Zhou et al., PNAS 2010).

    Args:
      times: `int[M]`, how often each title was recommended.
      owners: `int[M]`, how many users have it in training.
      users: how many users there are in training.
    """
    return _weighted_mean(-np.log2(np.maximum(owners, 1) / max(users, 1)), times)


def popularity_percentiles(owners: np.ndarray) -> np.ndarray:
    """`float64[M]`, from 0 to 1: the share of titles that fewer users have; equally popular titles count half."""
    ordered = np.sort(owners)
    fewer, not_more = (np.searchsorted(ordered, owners, side) for side in ("left", "right"))
    return (fewer + not_more) / (2 * max(1, len(owners)))


def mean_percentile(times: np.ndarray, owners: np.ndarray) -> float | None:
    """The mean of `popularity_percentiles(owners)` over titles weighted by `times`; None if all weights are 0.

    The popularity bias of a recommender is this mean over its recommendations, less the mean over the training
    interactions.
    """
    return _weighted_mean(popularity_percentiles(owners), times)


def exposure_curve(times: np.ndarray, points: int = 101) -> list[float]:
    """The share of all recommendations that goes to the most recommended titles: a Lorenz curve from the top.

    Point i is the share that the first i / (points - 1) of the catalogue gets. Equal shares give a straight line.
    """
    share = np.concatenate([[0.0], np.cumsum(np.sort(times)[::-1])]) / max(1, times.sum())
    return np.interp(np.linspace(0, len(times), points), np.arange(len(share)), share).tolist()


def resample_means(values: np.ndarray, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """`float64[U, C]`, U users with C numbers each -> `float64[resamples, C]`, the means of resampled users.

    Each resample draws U users with replacement, the same users for every column, so that differences between columns
    are paired. The bootstrap of Efron (1979). Time grows with `resamples` x U; memory does not.
    """
    users = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    for row in means:
        # Counts of how often each user was drawn give all columns in one product, without copies of the drawn rows.
        row[:] = np.bincount(rng.integers(users, size=users), minlength=users).astype(np.float64) @ values
    return means / max(1, users)


def interval(mean: float, means: np.ndarray) -> Interval:
    """The percentile interval: from the 2.5th to the 97.5th percentile of the resampled `means`."""
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(means, [tail, 100 - tail])
    return Interval(float(mean), float(low), float(high))


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> float | None:
    total = weights.sum()
    return float(values @ weights / total) if total else None
