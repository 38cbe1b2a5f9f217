"""The one entry: rules and models give the same kind of example, filtered and counted."""

from __future__ import annotations

import json
from pathlib import Path

from dnsity.data.example import Example
from dnsity.data.generators.synthetic_qa import ModelSource, SyntheticReport, make
from dnsity.data.readers.corpus import Document

TEXT = (
    "The glass museum of Torvik opened in 1934 beside the salt warehouse and the fish market. "
    "Its oldest vase weighs 86 kilograms and was carried there by eleven sailors. "
    'Curator Signe Halvorsen wrote the catalogue "Light in Sand" during a long northern winter. '
    "A fire destroyed 240 painted bottles from the eastern gallery on 3 March 1951. "
    "Schoolchildren receive green marbles at the entrance of the Torvik workshop every Thursday."
)
DOCUMENTS = [
    Document("museum", TEXT, "Torvik Glass Museum"),
    Document("empty", "Nothing.", ""),
    Document("other", TEXT.replace("Torvik", "Selje").replace("86", "59"), ""),
]


def reply(prompt: str, max_new_tokens: int) -> str:
    pairs = [("Where is the museum?", "Torvik"), ("Who paid?", "Baron Krag")]
    return "\n".join(json.dumps({"question": q, "answer": a}) for q, a in pairs)


def test_rules_give_examples_of_each_document_and_a_report() -> None:
    report = SyntheticReport()
    examples = list(make(DOCUMENTS, language="en", per_document=4, report=report))
    assert [example.source for example in examples] == ["museum", "other"]
    assert all(1 <= len(example.questions) <= 4 for example in examples)
    assert report.documents == 3
    assert report.questions == sum(len(example.questions) for example in examples)
    assert Example.from_record(examples[0].to_record(), "here") == examples[0]


def test_a_document_keeps_its_questions_whatever_stands_before_it() -> None:
    alone = list(make(DOCUMENTS[2:], language="en", seed=4))
    together = list(make(DOCUMENTS, language="en", seed=4))
    assert alone[0] == together[-1]
    assert list(make(DOCUMENTS, language="en", seed=5)) != together


def test_a_model_is_asked_once_and_its_questions_are_filtered(tmp_path: Path) -> None:
    model = ModelSource(reply, tmp_path / "work.jsonl")
    report = SyntheticReport()
    examples = list(make(DOCUMENTS[:1], language="en", model=model, report=report))
    assert [(q.text, q.answer) for q in examples[0].questions] == [
        ("Where is the museum?", "Torvik")
    ]
    assert report.rejects == {"duplicate": 4, "unsupported": 5}

    def silent(prompt: str, max_new_tokens: int) -> str:
        raise AssertionError("asked again")

    again = ModelSource(silent, tmp_path / "work.jsonl")
    assert list(make(DOCUMENTS[:1], language="en", model=again)) == examples
