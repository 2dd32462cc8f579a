"""The relevance model: what a user will watch next."""
