"""A resumable run in which a model writes questions on documents.

    documents x prompt types ──generate──▶ output.jsonl.partial ──all done──▶ output.jsonl
                                               append-only

Each record is an `Example` for one document and one prompt type. It is appended as soon as it is
complete, so a killed run resumes where it stopped; an incomplete last line is dropped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from dnsity.data.example import Example, Language, Question
from dnsity.data.generators.filters import MODEL_KIND
from dnsity.data.generators.self_study.models import Generator
from dnsity.data.generators.self_study.prompts import PROMPT_TYPES, parse_reply, render_prompt
from dnsity.data.readers.corpus import Document
from dnsity.data.text.sentences import sentence_ends
from dnsity.errors import BadInputError
from dnsity.io.jsonl import append_record, drop_incomplete_line, read_records, write_records


@dataclass(frozen=True, slots=True)
class SelfStudySettings:
    """Settings of the questions that the model writes.

    Attributes:
        prompt_types: Some of `PROMPT_TYPES`.
        per_prompt: Questions requested in one prompt.
        characters: Maximum characters of a document in one prompt.
        max_new_tokens: Maximum tokens of a reply.
        seed: Random seed of the excerpts of longer documents.
        label: Name of the model; one file has questions of one model only.
    """

    prompt_types: Sequence[str] = PROMPT_TYPES
    per_prompt: int = 4
    characters: int = 12_000
    max_new_tokens: int = 1024
    seed: int = 0
    label: str = ""


def self_study(
    documents: Iterable[Document],
    generate: Generator,
    output: Path,
    *,
    language: Language,
    settings: SelfStudySettings | None = None,
) -> None:
    """Let a model write questions on documents into a file.

    A reply that cannot be parsed gives a record without questions.

    Args:
        documents: Read one by one; ids must be unique.
        generate: The model, see `hf_generator` and `endpoint_generator`.
        output: JSON-lines file of examples. Records in it or in its ``.partial`` are not asked for
            again.
        language: The language of documents and questions.
        settings: Settings of the questions.

    Raises:
        BadInputError: If a prompt type is unknown, the files were made with other settings or
            are damaged or cannot be written, or `generate` raises it. Finished records are kept.
    """
    settings = settings or SelfStudySettings()
    unknown = sorted(set(settings.prompt_types) - set(PROMPT_TYPES))
    if unknown:
        raise BadInputError(f"prompt types {unknown}: allowed are {', '.join(PROMPT_TYPES)}")
    partial = output.with_name(f"{output.name}.partial")
    drop_incomplete_line(partial)
    stamp = _stamp(settings, language)
    done = set(_finished(output, stamp)) | set(_finished(partial, stamp))
    for document in documents:
        for prompt_type in settings.prompt_types:
            if (document.id, prompt_type) not in done:
                example = _study(document, prompt_type, generate, language, settings)
                record = example.to_record()
                record["details"]["settings"] = stamp
                append_record(partial, record)
                done.add((document.id, prompt_type))
    if partial.exists() or not output.exists():
        finished = [read_records(path) for path in (output, partial) if path.exists()]
        write_records(output, chain.from_iterable(finished))
        partial.unlink(missing_ok=True)


def _study(
    document: Document,
    prompt_type: str,
    generate: Generator,
    language: Language,
    settings: SelfStudySettings,
) -> Example:
    """Ask for questions of one prompt type on a document."""
    rng = random.Random(f"{settings.seed}/{document.id}/{prompt_type}")
    text = excerpt(document.text, settings.characters, rng)
    prompt = render_prompt(text, document.title, prompt_type, language, settings.per_prompt)
    questions = tuple(
        Question(question, answer, f"{MODEL_KIND}{prompt_type}")
        for question, answer in parse_reply(generate(prompt, settings.max_new_tokens))
    )
    details = {"prompt_type": prompt_type, "title": document.title}
    return Example(document.text, questions, language, document.id, details)


def excerpt(text: str, characters: int, rng: random.Random) -> str:
    """Return the text, or an excerpt of it between two sentence borders."""
    if len(text) <= characters:
        return text
    ends = sentence_ends(text)
    start = rng.choice([end for end in ends if end <= len(text) - characters])
    stop = max(end for end in ends if end <= start + characters)
    # Text without sentence borders is cut anywhere.
    return text[start : stop if stop > start else start + characters].strip()


def _stamp(settings: SelfStudySettings, language: Language) -> str:
    """Return the settings that must agree for two runs to share a file."""
    return json.dumps(
        {
            "label": settings.label,
            "prompt_types": list(settings.prompt_types),
            "language": language,
            "per_prompt": settings.per_prompt,
            "characters": settings.characters,
            "max_new_tokens": settings.max_new_tokens,
            "seed": settings.seed,
        },
        ensure_ascii=False,
    )


def _finished(path: Path, stamp: str) -> Iterator[tuple[str, str]]:
    """Yield document id and prompt type of each record; none if there is no file."""
    if not path.exists():
        return
    for number, record in enumerate(read_records(path), start=1):
        details = record.get("details")
        if not isinstance(details, dict) or "prompt_type" not in details:
            raise BadInputError(
                f"{path} record {number} was not made by self-study; choose another file"
            )
        if details.get("settings") != stamp:
            raise BadInputError(
                f"{path} was made with {details.get('settings')}, now asked for is {stamp}; "
                "use the same settings or another output file"
            )
        yield str(record.get("source")), str(details["prompt_type"])
