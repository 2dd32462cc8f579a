"""The rating model: variational matrix factorization on side features."""
