"""Compress documents into gists, save them, and answer questions from them."""
