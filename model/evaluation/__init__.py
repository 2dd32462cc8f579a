"""How good a model is: what is asked of it, the baselines beside it, and reports."""
