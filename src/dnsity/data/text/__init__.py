"""Text handling: chunking, sentences, Korean particles, prompt formats."""
