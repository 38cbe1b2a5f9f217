"""Needle documents: exact length, the value once, the grid, the same bytes for the same seed."""

from __future__ import annotations

import json
from collections import Counter
from multiprocessing import active_children
from pathlib import Path
from typing import Any, get_args

import pytest

from dnsity.config import validated
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language
from dnsity.data.generators.needles import NeedleKind
from dnsity.data.generators.niah import NiahConfig, generate
from dnsity.errors import BadInputError
from tiny import tiny_tokenizer

LANGUAGES: tuple[Language, ...] = ("en", "ko")
SENTENCES = {
    "en": "The boat of family number {i} left the old harbour before dawn.",
    "ko": "{i}번째 가족의 배는 해가 뜨기 전에 오래된 항구를 떠났다.",
}


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


@pytest.fixture(scope="module")
def prose(tmp_path_factory: pytest.TempPathFactory) -> dict[Language, str]:
    """Two articles per language in a folder of JSONL files."""
    folder = tmp_path_factory.mktemp("prose")
    paths: dict[Language, str] = {}
    for language in LANGUAGES:
        path = folder / f"{language}.jsonl"
        with path.open("w", encoding="utf-8") as lines:
            for article in range(2):
                text = " ".join(
                    SENTENCES[language].format(i=i)
                    for i in range(article * 300, 300 + article * 300)
                )
                record = {"id": f"{language}-{article}", "text": text}
                lines.write(json.dumps(record, ensure_ascii=False) + "\n")
        paths[language] = str(path)
    return paths


def _made(encoder: TextEncoder, **options: Any) -> list[Example]:
    return list(generate(NiahConfig(**options), encoder))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", get_args(NeedleKind))
@pytest.mark.parametrize("needles", [1, 3])
def test_documents_have_the_exact_length_and_hold_every_value_once(
    encoder: TextEncoder, prose: dict[Language, str], language: Language, kind: str, needles: int
) -> None:
    made = _made(
        encoder, language=language, kind=kind, needles=needles, haystack=prose[language],
        tokens=[700, 900], samples=6,
    )  # fmt: skip
    for number, example in enumerate(made):
        assert len(encoder.encode(example.document)) == example.details["tokens"]
        assert example.details["tokens"] == (700, 900)[number % 2]
        assert len(example.questions) == needles
        for question in example.questions:
            # Some passkey sentences say the number twice on purpose.
            assert example.document.count(question.answer) in ((1, 2) if needles == 1 else (1,))
            assert question.answer not in question.text


@pytest.mark.parametrize("haystack", ["filler", "prose"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_depths_and_lengths_make_a_full_grid(
    encoder: TextEncoder, prose: dict[Language, str], language: Language, haystack: str
) -> None:
    made = _made(
        encoder,
        language=language,
        haystack=prose[language] if haystack == "prose" else "filler",
        tokens=[600, 1200],
        depths=[0.0, 0.5, 1.0],
        samples=12,
    )
    cells = Counter((example.details["tokens"], example.details["depth"]) for example in made)
    assert cells == {(t, d): 2 for t in (600, 1200) for d in (0.0, 0.5, 1.0)}
    for example in made:
        (placed,) = example.details["placed"]  # type: ignore[misc]
        # Behind depth 1 stand the needle itself and at most one broken sentence: some 60 characters
        # of the 320 that 600 tokens make in Korean here.
        assert placed == pytest.approx(example.details["depth"], abs=0.2)


@pytest.mark.parametrize(("form", "line"), [("list", "- {}: {}"), ("table", "| {} | {} |")])
def test_lists_and_tables_stand_in_one_place(
    encoder: TextEncoder, prose: dict[Language, str], form: str, line: str
) -> None:
    options = {"haystack": prose["ko"], "language": "ko", "samples": 5, "tokens": [400]}
    for example in _made(encoder, **options, form=form, needles=4):
        assert len(encoder.encode(example.document)) == 400
        lines = example.document.splitlines()
        begin, end = line.split("{}")[0], line.split("{}")[-1]
        (first, *others) = [n for n, text in enumerate(lines) if text.startswith(begin)]
        assert others == [first + 1, first + 2, first + 3]
        assert len(example.questions) == 4
        for number, question in enumerate(example.questions):
            assert lines[first + number].endswith(f" {question.answer}{end}")
            owner = lines[first + number].removeprefix(begin).split(":")[0].split(" |")[0]
            assert all(word in question.text for word in owner.split())


def test_passkeys_have_the_digits_asked_for(encoder: TextEncoder) -> None:
    for needles in (1, 4):
        made = _made(encoder, needles=needles, digits=[6, 7], tokens=[900], samples=10)
        assert {len(q.answer) for e in made for q in e.questions} == {6, 7}


def test_fewer_questions_than_needles(encoder: TextEncoder) -> None:
    for example in _made(encoder, needles=4, asked=2, tokens=[900], samples=3, kind="word"):
        assert len(example.questions) == 2
        assert len(example.details["placed"]) == 4  # type: ignore[arg-type]


def test_the_seed_decides_everything_and_a_longer_run_begins_with_the_shorter(
    encoder: TextEncoder, prose: dict[Language, str]
) -> None:
    options: dict[str, Any] = {"language": "ko", "haystack": prose["ko"], "tokens": [700]}
    short = _made(encoder, samples=3, **options)
    assert _made(encoder, samples=5, **options)[:3] == short
    assert _made(encoder, samples=3, seed=1, **options) != short


def test_records_come_back_as_they_were(encoder: TextEncoder) -> None:
    for example in _made(encoder, tokens=[700], samples=3, kind="fact", needles=2):
        record = json.loads(json.dumps(example.to_record(), ensure_ascii=False))
        assert Example.from_record(record, "here") == example


def test_the_source_names_every_article_used(
    encoder: TextEncoder, prose: dict[Language, str]
) -> None:
    sources = {e.source for e in _made(encoder, haystack=prose["en"], tokens=[700], samples=8)}
    assert sources <= {"en-0", "en-1", "en-0+en-1", "en-1+en-0"}


def test_a_short_haystack_is_refused(encoder: TextEncoder, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text("One day. " * 20, encoding="utf-8")
    with pytest.raises(BadInputError, match=r"short\.txt holds \d+ tokens, too few"):
        _made(encoder, haystack=str(path), tokens=[700])


def test_more_needles_than_there_are_numbers_are_refused(encoder: TextEncoder) -> None:
    with pytest.raises(BadInputError, match="only 9 distinct facts, not 12; ask for fewer"):
        _made(encoder, needles=12, digits=[1], tokens=[4000])


def test_a_document_too_short_for_its_needles_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(BadInputError, match="could not hide 4"):
        _made(encoder, needles=4, kind="uuid", tokens=[60])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depths": [1.5]}, "shares from 0 to 1"),
        ({"needles": 2, "asked": 3}, "cannot ask for 3 of 2"),
        ({"tokens": [0]}, "at least 1"),
        ({"kind": "poem"}, "passkey"),
        ({"language": "fr"}, "'en' or 'ko'"),
        ({"form": "table"}, "with needles above 1; got kind='passkey', needles=1"),
        ({"form": "list", "kind": "fact", "needles": 3}, "a list holds values with owners"),
    ],
)
def test_bad_options_say_what_is_allowed(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        validated(NiahConfig, options, "options")


def test_worker_processes_change_nothing(encoder: TextEncoder, prose: dict[Language, str]) -> None:
    config = NiahConfig(language="ko", haystack=prose["ko"], tokens=[300, 400], samples=70)
    alone = list(generate(config, encoder))
    assert list(generate(config, encoder, workers=2)) == alone
    too_short = config.model_copy(update={"tokens": [300, 10]})
    with pytest.raises(BadInputError, match="could not hide 1 needle"):
        list(generate(too_short, encoder, workers=2))
    some = generate(config, encoder, workers=2)
    assert next(some) == alone[0]
    some.close()  # as Ctrl-C does; must not wait for the rest
    assert not active_children()
