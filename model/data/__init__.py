"""What models learn from: interactions, where they come from, and how they are split."""
