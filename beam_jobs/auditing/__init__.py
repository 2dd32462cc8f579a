"""The audit of a run before it is published: an independent check of its files."""
