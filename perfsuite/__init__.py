"""Performance tests for mixed-precision training of ResNets on CIFAR-10 in PyTorch."""

__version__ = "0.1.0"
