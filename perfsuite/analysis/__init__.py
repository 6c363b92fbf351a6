"""What the results mean: files to frames to tables. Knows pandas, never torch or pytest."""
