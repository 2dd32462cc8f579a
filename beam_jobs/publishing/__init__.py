"""Finished rows into readers' sight."""
