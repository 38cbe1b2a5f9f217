"""Compress text, keep the result as a file, ask it questions."""
