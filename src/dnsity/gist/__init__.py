"""Pure index logic: where documents, gists and questions stand and who sees whom."""
