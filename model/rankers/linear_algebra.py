"""Matrix arithmetic that the libraries have, but not with these bits or not in this little memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

DIRECT_INVERSE_SIZE = 2_048
"""Matrices of at most this size are inverted by LAPACK at once."""


def range_basis(multiply: Callable[[np.ndarray], np.ndarray], start: np.ndarray, iterations: int) -> np.ndarray:
    """An orthonormal basis of nearly the leading eigenvectors of a symmetric matrix: `float[n, k]`.

    This is the subspace iteration of a randomized SVD (Halko, Martinsson and Tropp 2011, algorithm 4.4). For the range
    of a matrix A, multiply by A A'; for that of its transpose, by A' A.

    Args:
      multiply: gives the product of the symmetric matrix and a matrix of shape `[n, k]`.
      start: `float[n, k]`, drawn at random.
      iterations: at least 1; more of them separate components of similar strength better.
    """
    basis = start
    for _ in range(iterations):
        basis = np.linalg.qr(multiply(basis))[0]
    return basis


def factorize(
    matrix: np.ndarray, dimension: int, seed: int, oversampling: int = 16, iterations: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Factor a square matrix into P and Q so that P Q' is nearly its best approximation of that rank.

    Args:
      matrix: `float[n, n]`
      dimension: D; where it exceeds n, the factors have n columns and P Q' equals the matrix.
      seed: of the random start.
      oversampling: how many more components the search holds than it returns.
      iterations: of `range_basis`.

    Returns:
      P and Q, `float32[n, D]` each. Each column of both is scaled by the root of its singular value.
    """
    size = min(dimension + oversampling, len(matrix))
    start = np.random.default_rng(seed).standard_normal((len(matrix), size)).astype(matrix.dtype)
    basis = range_basis(lambda vectors: matrix @ (matrix.T @ vectors), start, iterations)
    left, values, right = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    root = np.sqrt(values[:dimension])
    return ((basis @ left)[:, :dimension] * root).astype(np.float32), (right[:dimension].T * root).astype(np.float32)


def invert(matrix: np.ndarray) -> None:
    """Invert a symmetric positive definite matrix, `float[n, n]`, in place.

    The matrix is split into halves: with A, B, C its quarters and S = C - B'A^-1 B, the inverse has S^-1 at the lower
    right and `-A^-1 B S^-1` beside it. This takes half the arithmetic of a general inverse, nearly all of it in matrix
    products, and 3/4 n^2 numbers beside the matrix instead of 4 n^2.
    """
    size = len(matrix)
    if size <= DIRECT_INVERSE_SIZE:
        matrix[:] = np.linalg.inv(matrix)
        return
    half = size // 2
    upper, beside, lower = matrix[:half, :half], matrix[:half, half:], matrix[half:, half:]
    invert(upper)
    solved = upper @ beside
    lower -= beside.T @ solved
    invert(lower)
    np.negative(solved @ lower, out=beside)
    upper -= beside @ solved.T
    matrix[half:, :half] = beside.T
