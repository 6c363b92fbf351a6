"""Computed results -> figures, one room per kind. Only draws: all has been computed before."""
