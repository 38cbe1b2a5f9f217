"""Documents with questions: read, generated, and encoded for a model.

example      the record every source yields: one document and its questions
encode       text to token ids
batch        examples to padded tensors
packing      packed documents for language modeling
text/        chunking, sentences, Korean particles, prompt formats
readers/     corpora, benchmarks, question sets
generators/  needles, questions, mixtures; a folder per language
"""
