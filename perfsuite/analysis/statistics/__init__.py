"""Pure functions of arrays: intervals of ratios."""
