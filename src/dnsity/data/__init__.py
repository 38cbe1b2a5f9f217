"""Training and test material: documents with questions whose answers they contain."""
