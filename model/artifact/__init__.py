"""The folder of an exported model: write, describe, judge and load it."""
