"""How it is measured: clock, memory, environment, and the harness that brings them together. Never pandas."""
