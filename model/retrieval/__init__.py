"""What answers: the exported signatures, and the exact top-N behind them."""
