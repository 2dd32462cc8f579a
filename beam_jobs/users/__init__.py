"""From interactions to users with their watch history, and to candidates."""
