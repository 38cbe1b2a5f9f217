"""Gist models: a Hugging Face causal LM with gist slots, and its files."""
