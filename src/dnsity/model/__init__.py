"""A HuggingFace causal LM that can hold gists."""
