"""Answers without any document: the lower bound of all scores."""

from __future__ import annotations

from dnsity.evaluation.method import Context, Ingested, Method


class NoContext(Method):
    """The question alone."""

    name = "none"
    heading = "no context"

    def ingest(self, document: str) -> Ingested:
        """Keep nothing."""
        return Ingested(None)

    def context(self, ingested: Ingested, question: str) -> Context:
        """Return no context."""
        return Context(None)
