"""Many runs: the same suite under two interpreters, checkouts or settings, interleaved."""
