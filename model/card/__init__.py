"""The model card: a page on a model for people who are no engineers."""
