"""What is measured: networks, precisions, data and the training step. Knows torch, never pytest or pandas."""
