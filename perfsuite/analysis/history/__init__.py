"""Results of months: a store of result files, series over time, and where they changed."""
