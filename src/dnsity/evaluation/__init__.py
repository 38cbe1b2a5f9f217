"""Evaluation of every method on every task; gists are compared with baselines and controls."""
