"""Which commit, or which version, made a benchmark slower: a bisection whose steps take as many processes as needed."""
