"""The most popular titles, the same for every user."""

from __future__ import annotations

from model.evaluation.baselines.recommenders import same_for_all
from model.evaluation.interaction_matrix import InteractionMatrix
from model.evaluation.top_n import Recommend


def popularity(matrix: InteractionMatrix) -> Recommend:
    """Recommend the titles that most users have, in one order for all users."""
    return same_for_all(matrix.titles, matrix.title_counts)
