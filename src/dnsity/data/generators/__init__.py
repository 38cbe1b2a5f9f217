"""Generators: needles, questions and mixtures; what depends on a language is in its folder."""
