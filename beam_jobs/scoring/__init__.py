"""From users and candidates to recommendations."""
