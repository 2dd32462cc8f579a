"""iALS: matrix factorization of implicit feedback (Hu, Koren and Volinsky, ICDM 2008), fitted by `implicit`."""

from __future__ import annotations

import importlib
import importlib.util

import numpy as np
from scipy.sparse import csr_matrix

from model.evaluation.baselines.popularity import popularity
from model.evaluation.baselines.recommenders import personal
from model.evaluation.interaction_matrix import InteractionMatrix
from model.evaluation.top_n import Recommend

SETTINGS = {"factors": 32, "regularization": 0.05, "alpha": 2.0, "iterations": 15}
"""Regularization and alpha are those of the tutorial of `implicit`, iterations its default."""


def installed() -> bool:
    """Whether `implicit`, which is not a dependency, can be imported."""
    return importlib.util.find_spec("implicit") is not None


def ials(matrix: InteractionMatrix, seed: int) -> Recommend:
    """Fit iALS. A title that training does not have scores 0; a user whom it does not have gets the most popular.

    Raises:
      ModuleNotFoundError: `implicit` is not installed.
    """
    als = importlib.import_module("implicit.als")
    model = als.AlternatingLeastSquares(**SETTINGS, random_state=seed, use_gpu=False)
    # implicit does not know the newer csr_array.
    model.fit(csr_matrix(matrix.pairs.astype(np.float32)), show_progress=False)
    user_factors, title_factors = np.asarray(model.user_factors), np.asarray(model.item_factors)
    return personal(matrix, lambda rows: user_factors[rows] @ title_factors.T, popularity(matrix))
