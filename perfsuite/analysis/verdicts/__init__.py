"""Samples of two sides -> verdicts with their reasons."""
