"""Costs of answering: every method on real model shapes, paired within one run."""
