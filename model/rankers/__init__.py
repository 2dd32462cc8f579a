"""What learns: each kind of model, its settings and its training."""
