"""Text handling: chunking, sentences, particles, the prompt of a question."""
