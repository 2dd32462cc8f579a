"""Metrics of recommendation lists and of predicted ratings. NumPy alone, so training may choose by them too."""
