"""A summary by the same model as context: text instead of gists, at the same cost.

    document ──prefill──▶ "Summarize ..." ──greedy──▶ as many tokens as there are gists ──▶ question

Gists are worth training only if they beat such text, to which Mu et al. (2304.08467) and
AutoCompressors (2305.14788) also compare. A base without instruction tuning writes poor summaries.
"""

from __future__ import annotations

from collections.abc import Mapping

from dnsity.data.example import Language
from dnsity.errors import BadInputError
from dnsity.evaluation.method import Context, Ingested
from dnsity.evaluation.methods.reading import Reading, first_tokens, gist_slots, without_middle
from dnsity.inference.check import language_of
from dnsity.inference.generate import Sampling, answer

_ASKED: Mapping[Language, str] = {
    "en": "Summarize the document in a few words. Keep names, numbers and dates.",
    "ko": "문서를 몇 마디로 요약하세요. 이름과 숫자, 날짜를 남기세요.",
}


class Summary(Reading):
    """The model's own summary of the document, at most as long as its gists."""

    name = "summary_equal_kv"
    heading = "summary, equal KV"
    takes = ("gists",)
    by_default = False

    def ingest(self, document: str) -> Ingested:
        """Prefill the document and generate the summary.

        Raises:
            BadInputError: If the model writes nothing.
        """
        loaded = self.loaded
        started = loaded.now()
        ids = loaded.frame.document(document)
        slots = gist_slots(loaded, self.settings, len(ids))
        whole = self.read(without_middle(ids, max(1, self.window - slots)))
        asked = _ASKED[language_of(document)]
        [given] = answer(loaded, whole.layers, [asked], Sampling(max_new_tokens=slots))
        written = given.text.strip()
        if not written:
            raise BadInputError(f"{loaded.name} wrote no summary; leave {self.name} out")
        summary = first_tokens(loaded, loaded.frame.document(written), slots)
        return Ingested(summary, loaded.now() - started, f"summary: {written}")

    def context(self, ingested: Ingested, question: str) -> Context:
        """Prefill the summary."""
        return self.read(ingested.handle)
