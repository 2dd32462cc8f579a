"""The folder of an exported model: written, described, judged and loaded."""
