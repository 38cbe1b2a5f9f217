"""Method `refine`: train the slots of one document on any base model.

compressor    the method: settings, and the steps from text to gist
examples      training examples made from the document
teacher       predictions of the base model for them
plan          amounts of work for a time limit
slots         trainable slots and the best so far
state         the file from which an interrupted run resumes
scoring       training loss and scores on held-out examples
training      the training loop
"""

from dnsity.inference.methods.refine.compressor import Refine

__all__ = ["Refine"]
