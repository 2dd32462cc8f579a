"""Side features of titles from which users watched them, whatever they rated them.

Which users chose a title says something about its ratings, most of all where it has few (Koren, "Factorization meets
the neighborhood", 2008, section 3.2, uses the same idea for users). The features are the leading components of the
matrix of which users watched which titles. On MovieLens 100K, split by time, they lower the squared error on validation
by 0.0069 from 1.0449 (95% CI -0.0002 to 0.0139, over users). Such features of users would lower it by 0.0011 more (95%
CI -0.0044 to 0.0070), which may be chance, and new users, who have most of those rows, would have none.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from model.rankers.linear_algebra import range_basis

OVERSAMPLING, ITERATIONS = 8, 8
SHRINKAGE = 10.0
"""A title with this many interactions keeps half of its features, because few interactions say little."""
CLIP = 2.0
"""Standard deviations from the mean; values further out are moved there."""
SCALE = 0.3
"""Standard deviation of a feature, which says how much the model trusts it at first."""
NEGLIGIBLE = 1e-4
"""Components weaker than this share of the leading one are rounding errors."""


def co_occurrence_features(
    user: np.ndarray, title: np.ndarray, users: int, titles: int, components: int, seed: int
) -> np.ndarray:
    """Features of titles, alike for titles that the same users watched.

    The matrix has `1 / sqrt(interactions of the user * (interactions of the title + SHRINKAGE))` where a user watched a
    title. A randomized SVD finds its singular vectors; the matrix stays sparse. The first one, which is popularity, is
    left out.

    Args:
      user: `int[rows]`, the index of each interaction's user; rows with -1 here or in `title` are left out.
      title: `int[rows]`, the index of its title.
      users: the number of users.
      titles: the number of titles.
      components: C, how many features are wanted; there are fewer where the matrix has fewer components.
      seed: of the random start.

    Returns:
      `float32[titles, C]`; zeros for a title without interactions.
    """
    there = (user >= 0) & (title >= 0)
    user, title = user[there], title[there]
    user, title = np.divmod(np.unique(user.astype(np.int64) * titles + title), titles)
    user_counts, title_counts = np.bincount(user, minlength=users), np.bincount(title, minlength=titles)
    values = 1 / np.sqrt(user_counts[user] * (title_counts[title] + SHRINKAGE))
    matrix = sparse.csr_array((values.astype(np.float32), (user, title)), shape=(users, titles))
    leading = _leading(matrix, min(components + 1, users, titles), seed)[:, 1:]
    return _standardize(leading / np.sqrt(title_counts + SHRINKAGE)[:, None], title_counts)


def _leading(matrix: sparse.csr_array, size: int, seed: int) -> np.ndarray:
    """The leading right singular vectors of `[n, m]`: `float32[m, size]`, fewer columns where some are negligible."""
    width = min(size + OVERSAMPLING, *matrix.shape)
    start = np.random.default_rng(seed).standard_normal((matrix.shape[1], width)).astype(np.float32)
    transposed = matrix.T
    basis = range_basis(lambda vectors: transposed @ (matrix @ vectors), np.linalg.qr(start)[0], ITERATIONS)
    _, strengths, rotation = np.linalg.svd(matrix @ basis, full_matrices=False)
    kept = strengths[:size] > NEGLIGIBLE * strengths[0]
    return (basis @ rotation[:size].T)[:, kept]


def _standardize(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Give each column of `[n, C]` mean 0 and deviation `SCALE` over rows weighted by `weights`; zeros for weight 0."""
    weighted = weights[:, None] / max(weights.sum(), 1)
    centred = features - (weighted * features).sum(axis=0)
    deviation = np.sqrt((weighted * centred**2).sum(axis=0))
    standard = np.clip(centred / np.maximum(deviation, np.finfo(np.float32).tiny), -CLIP, CLIP)
    return np.where(weights[:, None] > 0, SCALE * standard, 0).astype(np.float32)
