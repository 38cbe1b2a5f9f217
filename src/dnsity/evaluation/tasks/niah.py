"""Needle in a haystack: sentences hidden in real prose, each asked for; metric: exact match.

    niah   one five-digit passkey
    fact   one fact about a named entity
    facts  four facts that are easily mistaken for one another

Version 2: documents of an exact length, the first needle at depths 0, 1/4, 1/2, 3/4 and 1
(version 1: passkeys only, about the length). The prose is held out from training (another file,
other articles); the values are drawn fresh and occur nowhere else in the document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.niah import NiahConfig, generate

VERSION = 2
TASKS: Mapping[str, Mapping[str, Any]] = {
    "niah": {"kind": "passkey", "digits": [5]},
    "fact": {"kind": "fact"},
    "facts": {"kind": "fact", "needles": 4},
}


def examples(
    task: str,
    haystack: str,
    language: Language,
    encoder: TextEncoder,
    *,
    tokens: Sequence[int],
    samples: int,
    seed: int,
) -> list[Example]:
    """Draw documents, evenly over lengths and depths.

    Args:
        task: A name in `TASKS`.
        haystack: Held-out prose, as `data.corpus.read_documents` takes it.
        language: Its language.
        encoder: Tokenizer in which lengths are counted.
        tokens: Document lengths.
        samples: Documents in all.
        seed: Same seed, same documents.
    """
    config = NiahConfig(
        language=language,
        haystack=haystack,
        samples=samples,
        tokens=list(tokens),
        seed=seed,
        **TASKS[task],
    )
    return list(generate(config, encoder))
