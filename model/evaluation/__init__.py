"""How good a model is: metrics, baselines, and the protocol that they are measured by."""
