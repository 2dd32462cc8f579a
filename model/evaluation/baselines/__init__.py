"""Simple recommenders and rating predictors that a model must beat, one module each, and `fitting`, which fits all."""
