"""Index logic without a model: positions of tokens, and the attention mask."""
