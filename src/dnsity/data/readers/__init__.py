"""Readers: corpora, benchmarks and question sets, from the forms they are published in."""
