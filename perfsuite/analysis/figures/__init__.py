"""Computed results -> figures, one module per figure. Only draws: all has been computed before."""
