"""Evaluation: every method on every task; gists are one method among several controls."""
