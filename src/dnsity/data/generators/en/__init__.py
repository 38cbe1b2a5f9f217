"""English: values, sentences and questions of needles; grammar of the question rules."""
