"""Why mixed precision works, shown by running it: a module per study."""
