"""What every pipeline needs: options, runner, counters, progress, shuffles."""
