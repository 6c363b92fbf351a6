"""Pure functions of arrays: intervals, the difference of two sides, and the decision about it."""
