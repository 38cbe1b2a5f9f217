"""Questions that a model writes on a document (Cartridges, 2506.06266, section 4).

study     the run: documents x prompt types, resumable
prompts   prompts for the model, and the parser of its replies
models    a Hugging Face model or an OpenAI-compatible server as the writer
"""
