"""Read what the same model wrote about the document: text instead of gists, at the same cost.

    document ──read──▶ "Summarize ..." ──greedy──▶ as many tokens as there are gists ──▶ question

What gists must beat to be worth training (Mu et al. 2304.08467 and AutoCompressors 2305.14788 put
such text beside theirs). A base that was never taught to follow instructions writes nothing of use.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnsity.data.example import Language
from dnsity.errors import BadInputError
from dnsity.evaluation.method import Context, Ingested
from dnsity.evaluation.methods.reading import Reading, first_tokens, gist_slots, without_middle
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.study import language_of

_ASKED: Mapping[Language, str] = {
    "en": "Summarize the document in a few words. Keep names, numbers and dates.",
    "ko": "문서를 몇 마디로 요약하세요. 이름과 숫자, 날짜를 남기세요.",
}


class Summary(Reading):
    """The model's own summary of the document, no longer than its gists."""

    name = "summary_equal_kv"
    heading = "summary, equal KV"
    by_default = False

    def ingest(self, document: str) -> Ingested:
        """Read the document and write the summary.

        Raises:
            BadInputError: If the model writes nothing.
        """
        loaded = self.loaded
        started = loaded.now()
        ids = loaded.frame.document(document)
        slots = gist_slots(loaded, self.settings, len(ids))
        whole = self.read(without_middle(ids, max(1, self.window - slots)))
        asked = _ASKED[language_of(document)]
        written = answer(loaded, whole.layers, [asked], Sampling(max_new_tokens=slots))[
            0
        ].text.strip()
        if not written.strip():
            raise BadInputError(f"{loaded.name} wrote no summary; leave {self.name} out")
        summary = first_tokens(loaded, loaded.frame.document(written), slots)
        return Ingested(summary, loaded.now() - started, f"summary: {written}")

    def context(self, ingested: Ingested, question: str) -> Context:
        """Read the summary."""
        return self.read(ingested.handle)
