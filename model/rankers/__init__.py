"""The models: each kind's settings, network and training."""
