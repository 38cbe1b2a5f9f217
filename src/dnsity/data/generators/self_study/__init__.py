"""Questions that a model asks itself about a document (Cartridges, 2506.06266, section 4).

study     the run: documents x prompt types, resumable
prompts   what the model is asked, and how its reply is read
models    a HuggingFace model or an OpenAI-compatible endpoint as the one who asks
"""
