"""Training: the same compress and the same answer, with gradients."""
