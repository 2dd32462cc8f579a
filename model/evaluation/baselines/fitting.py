"""Fit every baseline to the train part of a split."""

from __future__ import annotations

from dataclasses import dataclass

from model.contract import MOVIE_TITLE, USER_ID
from model.data.splits import Split
from model.evaluation.baselines import ease, ials
from model.evaluation.baselines.biases import Biases, recommend_by_biases
from model.evaluation.baselines.global_mean import GlobalMean
from model.evaluation.baselines.popularity import popularity
from model.evaluation.interaction_matrix import InteractionMatrix, distinct
from model.evaluation.systems import BIASES, EASE, GLOBAL_MEAN, IALS, POPULARITY
from model.evaluation.top_n import Recommend
from model.metrics.rating import Predictor


@dataclass(frozen=True)
class Baselines:
    """Recommenders that were fitted, and those that could not be."""

    recommenders: dict[str, Recommend]
    """By name, simplest first."""
    left_out: dict[str, str]
    """The reason for each that is missing, by name."""


def fit_baselines(split: Split, seed: int = 0) -> Baselines:
    """Fit every recommender to the train part, which has rows; `seed` is that of iALS."""
    train = split.train
    matrix = InteractionMatrix.of(train, distinct(train[USER_ID]), distinct(train[MOVIE_TITLE]))
    recommenders: dict[str, Recommend] = {
        POPULARITY: popularity(matrix),
        BIASES: recommend_by_biases(Biases.fit(train, split.validation)),
    }
    left_out = {}
    if len(matrix.titles) <= ease.MOST_TITLES:
        recommenders[EASE] = ease.ease(matrix)
    else:
        left_out[EASE] = f"it is fitted to at most {ease.MOST_TITLES:,} titles, and there are {len(matrix.titles):,}"
    if ials.installed():
        recommenders[IALS] = ials.ials(matrix, seed)
    else:
        left_out[IALS] = "the package implicit is not installed"
    return Baselines(recommenders, left_out)


def fit_rating_baselines(split: Split) -> dict[str, Predictor]:
    """Fit every predictor of ratings to the train part, which has rows."""
    return {
        GLOBAL_MEAN: GlobalMean.fit(split.train).predict,
        BIASES: Biases.fit(split.train, split.validation).predict,
    }
