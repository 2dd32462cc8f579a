"""What models learn from: interactions, their sources, and how they are split."""
