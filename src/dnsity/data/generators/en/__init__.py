"""English: values, sentences and questions of needles; shapes for questions by rule."""
