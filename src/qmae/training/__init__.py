"""Training: loop, optimizers, run folders, many runs at a time, search of settings."""
