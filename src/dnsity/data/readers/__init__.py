"""Readers of corpora, benchmarks and question sets in their published formats."""
