"""Evaluation: tasks x methods, the gist being one method among its controls."""
