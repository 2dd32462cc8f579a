"""The systems that are measured, by name, and how reports word them."""

from __future__ import annotations

MODEL = "model"
POPULARITY = "popularity"
BIASES = "biases"
EASE = "ease"
IALS = "ials"
GLOBAL_MEAN = "global mean"

LABELS = {
    MODEL: "model",
    POPULARITY: "most popular",
    BIASES: "by predicted rating (biases)",
    EASE: "EASE, lambda 200",
    IALS: "iALS, 32 factors",
}
"""Of recommenders."""
SHORT_LABELS = {MODEL: "model", POPULARITY: "popular", BIASES: "biases", EASE: "EASE", IALS: "iALS"}
"""Of recommenders, for narrow columns."""
RATING_LABELS = {MODEL: "model", GLOBAL_MEAN: "global mean", BIASES: "user and item biases"}
"""Of predictors of ratings."""
