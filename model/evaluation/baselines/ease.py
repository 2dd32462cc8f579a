"""EASE: linear weights between titles by ridge regression, without self-similarity (Steck, WWW 2019)."""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.sparse import csr_array

from model.evaluation.baselines.popularity import popularity
from model.evaluation.baselines.recommenders import personal
from model.evaluation.interaction_matrix import InteractionMatrix
from model.evaluation.top_n import Recommend

PENALTY = 200.0
MOST_TITLES = 20_000
"""With more, the titles x titles matrix, 8 bytes a cell, and its inverse no longer fit a small machine."""
_BLOCK = 1_024


def ease(matrix: InteractionMatrix, penalty: float = PENALTY) -> Recommend:
    """Fit EASE in closed form. Systems are solved in float64, scores are float32.

    With X the 0-1 matrix of users and titles and P = inverse(X'X + penalty I), the weight of title i for title j is
    -P[i, j] / P[j, j], and a user's score of a title that they do not have is -(x P)[j] / P[j, j]. What a user has in
    training must be among what they have seen: its score would be too low by 1. A title that training does not have
    scores 0; a user whom it does not have gets the most popular titles.
    """
    x = matrix.pairs.astype(np.float32)
    if len(matrix.users) <= len(matrix.titles):
        projected, diagonal = _by_users(x, penalty)

        def score(rows: np.ndarray) -> np.ndarray:
            return projected[rows] / -diagonal
    else:
        weights = _by_titles(x, penalty)

        def score(rows: np.ndarray) -> np.ndarray:
            return x[rows] @ weights

    return personal(matrix, score, popularity(matrix))


def _by_users(x: csr_array, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """X P and the diagonal of P from inverse(X X' + penalty I) X, which is smaller where users are fewer than titles.

    The identity is exact: X inverse(X'X + penalty I) = inverse(X X' + penalty I) X.
    """
    dense = x.toarray()
    gram = (dense @ dense.T).astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    projected = linalg.solve(gram, dense, overwrite_a=True, assume_a="pos").astype(np.float32)
    return projected, (1 - np.einsum("um,um->m", dense, projected)) / penalty


def _by_titles(x: csr_array, penalty: float) -> np.ndarray:
    """`float32[M, M]`: -P[i, j] / P[j, j]. The diagonal, -1, plays no part: those titles are seen."""
    count = x.shape[1]
    by_title = x.T.tocsr()
    gram = np.empty((count, count))
    for start in range(0, count, _BLOCK):
        # In blocks, because the sparse product of the whole takes twice the memory of the dense one.
        gram[start : start + _BLOCK] = (by_title[start : start + _BLOCK] @ x).toarray()
    gram[np.diag_indices(count)] += penalty
    inverse = linalg.solve(gram, np.eye(count), overwrite_a=True, overwrite_b=True, assume_a="pos")
    weights = np.ascontiguousarray(inverse, np.float32)
    weights /= -np.diag(weights).copy()
    return weights
