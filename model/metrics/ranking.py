"""How good lists of recommendations are: for each user, over all of them, and with what certainty. NumPy alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

import numpy as np

RESAMPLES = 1_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class UserMetrics:
    """`float64[B]` each, NaN for a user to whom no title is relevant.

    With r the number of relevant titles of a user and hit(i) 1 where the title at rank i, from 1 to k, is one of them:
    """

    ndcg: np.ndarray
    """sum of hit(i) / log2(i + 1) over the list, divided by the sum of 1 / log2(i + 1) over i to min(k, r), which is
    the best that a list of k could reach. Binary gain (Järvelin and Kekäläinen, 2002)."""
    recall: np.ndarray
    """hits / r. Where r is more than k, 1 cannot be reached."""
    mrr: np.ndarray
    """1 / rank of the first hit, 0 without one (Voorhees, 1999), cut at k."""
    hit_rate: np.ndarray
    """1 where there is a hit, else 0."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The metrics in order."""
        return tuple(field.name for field in fields(cls))

    def columns(self) -> np.ndarray:
        """`float64[B, 4]`, a column for each of `names`."""
        return np.stack([getattr(self, name) for name in self.names()], axis=1)


@dataclass(frozen=True)
class Interval:
    """A mean over users, and the range that holds 95 of 100 means of as many users drawn anew from them."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Plain JSON."""
        return asdict(self)


def find_hits(index: np.ndarray, relevant_values: np.ndarray, relevant_row_splits: np.ndarray) -> np.ndarray:
    """`bool[B, k]`: whether a recommended title is relevant to its user.

    Args:
      index: `int[B, k]`, positions of titles, best first, -1 where a list is short; none twice in a list.
      relevant_values: `int[S]`, the titles that are relevant to each user, none twice for one user.
      relevant_row_splits: `int64[B + 1]`, where each user's begin and end.

    Raises:
      ValueError: there are not as many rows of relevant titles as lists.
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
    """The metrics of every user's list; arguments and errors are those of `find_hits`."""
    hits = find_hits(index, relevant_values, relevant_row_splits)
    k = index.shape[1]
    relevant = np.diff(relevant_row_splits)
    gain = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(gain)])[np.minimum(relevant, k)]
    found = hits.any(axis=1)
    rank = 1 + (hits.argmax(axis=1) if k else 0)
    with np.errstate(invalid="ignore"):
        # Without a relevant title the first two are 0 / 0, which is the NaN promised.
        metrics = (hits @ gain / ideal, hits.sum(axis=1) / relevant)
    nothing = np.where(relevant > 0, 0.0, np.nan)
    return UserMetrics(*metrics, mrr=found / rank + nothing, hit_rate=found + nothing)


def count_titles(index: np.ndarray, titles: int) -> np.ndarray:
    """`int64[titles]`: how often each title is in the lists `int[B, k]`."""
    return np.bincount(index[index >= 0], minlength=titles)


def novelty(times: np.ndarray, owners: np.ndarray, users: int) -> float | None:
    """Mean of -log2(share of the training users who have the title) over all that was recommended, in bits.

    0 where everybody has everything; each bit more stands for half as many who know the title. A title that nobody
    has counts as had by one user. None where nothing was recommended. Mean self-information (Zhou et al., PNAS 2010).

    Args:
      times: `int[M]`, how often each title was recommended.
      owners: `int[M]`, how many users have it in training.
      users: how many users there are in training.
    """
    return _weighted_mean(-np.log2(np.maximum(owners, 1) / max(users, 1)), times)


def popularity_percentiles(owners: np.ndarray) -> np.ndarray:
    """`float64[M]`: the share of titles that fewer users have, those with as many counted half. From 0 to 1."""
    ordered = np.sort(owners)
    fewer, not_more = (np.searchsorted(ordered, owners, side) for side in ("left", "right"))
    return (fewer + not_more) / (2 * max(1, len(owners)))


def mean_percentile(times: np.ndarray, owners: np.ndarray) -> float | None:
    """The mean of `popularity_percentiles(owners)` over titles, each counted `times`; None where nothing counts.

    The popularity bias of a recommender is this of what it recommends, less this of what users have in training.
    """
    return _weighted_mean(popularity_percentiles(owners), times)


def exposure_curve(times: np.ndarray, points: int = 101) -> list[float]:
    """The share of all recommendations that goes to the most recommended titles: a Lorenz curve from the top.

    Point i is the share that the first i / (points - 1) of the catalogue gets; a straight line were all alike.
    """
    share = np.concatenate([[0.0], np.cumsum(np.sort(times)[::-1])]) / max(1, times.sum())
    return np.interp(np.linspace(0, len(times), points), np.arange(len(share)), share).tolist()


def resample_means(values: np.ndarray, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """`float64[U, C]`, U users with C numbers each -> `float64[resamples, C]`: the means of users drawn anew.

    Each row draws U users with replacement, the same ones for every column, so that differences between columns are
    paired. The bootstrap of Efron (1979). Takes time and no memory to speak of in proportion to `resamples` x U.
    """
    users = len(values)
    rng = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    for row in means:
        # How often each user was drawn, rather than the drawn rows themselves: one product for all columns.
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
