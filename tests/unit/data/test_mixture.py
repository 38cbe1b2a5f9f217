"""What the mixture draws beside hidden facts, and what it refuses to begin with."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from dnsity.config import validated
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Language, Question
from dnsity.data.generators.hide import NOT_FOUND
from dnsity.data.generators.mixture import UNSCORED, DocumentKind, Mixture, MixtureConfig
from dnsity.errors import BadInputError
from dnsity.io.jsonl import write_records
from tiny import tiny_tokenizer

_WORDS = {
    "en": "the harbour is quiet and old boats rest near a long grey wall of stone".split(),
    "ko": "나루터 마을은 조용하고 오래된 배가 긴 돌담 곁에서 쉽니다 그리고 바람이 붑니다".split(),
}
_LANGUAGES: tuple[Language, ...] = get_args(Language)
SPAN = 24


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


@pytest.fixture(scope="module")
def articles() -> dict[str, str]:
    """Texts by id; every word bears a number of its own, so no piece of one is in another."""
    texts = {}
    for language, words in _WORDS.items():
        rng = random.Random(language)
        for article in range(6):
            sentences = (
                " ".join(f"{rng.choice(words)}{article}{number}{n}" for n in range(6))
                for number in range(10, 50)
            )
            texts[f"{language}-{article}"] = " ".join(f"{x.capitalize()}." for x in sentences)
    return texts


@pytest.fixture(scope="module")
def corpus(
    articles: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[str]]:
    folder = tmp_path_factory.mktemp("corpus")
    for language in _LANGUAGES:
        write_records(
            folder / f"{language}.jsonl",
            ({"id": id, "text": text} for id, text in articles.items() if id[:2] == language),
        )
    return {language: [str(folder / f"{language}.jsonl")] for language in _LANGUAGES}


@pytest.fixture(scope="module")
def mixture(corpus: dict[str, list[str]], encoder: TextEncoder) -> Mixture:
    return Mixture(_config(corpus=corpus, span_tokens=SPAN), encoder)


def _config(**values: Any) -> MixtureConfig:
    return MixtureConfig.model_validate(values)


def _records(path: Path, document: str = "Ann rows.") -> list[str]:
    """A file of one record."""
    example = Example(document, (Question("Who?", "Ann", "who"),), "en", "record")
    write_records(path, [example.to_record()])
    return [str(path)]


@pytest.mark.parametrize("tokens", [20, 90, 400])
@pytest.mark.parametrize("kind", ["reconstruct", "continue"])
def test_own_words_are_words_of_the_article_named(
    mixture: Mixture,
    encoder: TextEncoder,
    articles: dict[str, str],
    kind: DocumentKind,
    tokens: int,
) -> None:
    rng = random.Random(0)
    asked = set()
    for _ in range(60):
        example = mixture.sample(rng, tokens, {kind: 1.0})
        (question,) = example.questions
        assert 0 < len(encoder.encode(" " + question.answer)) <= SPAN
        assert question.kind in UNSCORED
        article = "\n\n".join(articles[id] for id in example.source.split("+"))
        asked.add((example.language, question.text.split('"')[0]))
        if kind == "reconstruct":
            assert example.document in article
            _, quoted, _ = (question.text + '""').split('"')[:3]
            if quoted:
                assert f"{quoted} {question.answer}" in example.document
            else:
                assert example.document.startswith(question.answer)
        else:
            assert len(encoder.encode(example.document)) <= tokens
            assert question.answer not in example.document
            assert f"{example.document} {question.answer}" in article
    assert len(asked) > 6, "several wordings in both languages"
    assert {language for language, _ in asked} == set(_LANGUAGES)


def test_the_same_seed_draws_the_same(mixture: Mixture) -> None:
    kinds: dict[DocumentKind, float] = {"reconstruct": 1.0, "continue": 1.0}
    one, other = (
        [mixture.sample(rng, 80, kinds) for _ in range(10)]
        for rng in (random.Random(3), random.Random(3))
    )
    assert one == other
    assert mixture.packed(random.Random(3), "ko", 99) == mixture.packed(random.Random(3), "ko", 99)


def test_a_corpus_that_can_never_be_asked_is_given_up(tmp_path: Path, encoder: TextEncoder) -> None:
    (tmp_path / "a.txt").write_text("a " * 500, encoding="utf-8")
    mixture = Mixture(_config(corpus={"en": [str(tmp_path / "a.txt")]}), encoder)
    with pytest.raises(BadInputError, match=r"data\.corpus\.en gave no question of kind 'quote'"):
        mixture.sample(random.Random(0), 50, {"quote": 1.0})


def test_records_stand_beside_prose(
    corpus: dict[str, list[str]], tmp_path: Path, encoder: TextEncoder
) -> None:
    paths = _records(tmp_path / "r.jsonl")
    config = _config(corpus=corpus, records=paths, documents={"records": 1.0, "quote": 1.0})
    mixture = Mixture(config, encoder)
    kinds = [mixture.sample(random.Random(n), 60).questions[0].kind for n in range(40)]
    assert set(kinds) == {"who", "quote"}
    mixture = Mixture(_config(corpus=corpus), encoder)
    with pytest.raises(BadInputError, match=r"data\.records is empty; set it to"):
        mixture.sample(random.Random(0), 60, {"records": 1.0})


def test_without_a_corpus_there_is_no_prose(tmp_path: Path, encoder: TextEncoder) -> None:
    paths = _records(tmp_path / "r.jsonl")
    mixture = Mixture(_config(records=paths, documents={"records": 1.0}), encoder)
    assert mixture.sample(random.Random(0), 60).source == "record"
    for draw in (
        lambda: mixture.sample(random.Random(0), 60, {"passkey": 1.0}),
        lambda: mixture.language(random.Random(0)),
    ):
        with pytest.raises(BadInputError, match=r"no prose; set data\.corpus\.en"):
            draw()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"has codes, facts, passkey, but data\.corpus holds no prose; set data\.corpus\.en"),
        (
            {"records": ["x"], "documents": {"records": 1, "quote": 1}},
            "data.documents has quote, but",
        ),
        ({"corpus": {"en": ["x"]}, "documents": {"records": 1}}, r"data\.records is empty"),
        ({"corpus": {"en": []}}, "at least 1 item"),
        ({"corpus": {"en": ["x"]}, "span_tokens": 0}, "greater than or equal to 1"),
    ],
)
def test_a_mixture_without_what_it_draws_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError):
        _config(**values)
    with pytest.raises(BadInputError, match=message):
        validated(MixtureConfig, values, "run.yaml")


def test_what_is_not_drawn_is_not_needed() -> None:
    _config(records=["x"], documents={"records": 1, "quote": 0})
    _config(corpus={"en": ["x"]}, records=["x"])


def test_unusable_files_are_told_with_their_setting(tmp_path: Path, encoder: TextEncoder) -> None:
    config = _config(corpus={"ko": ["nowhere.jsonl"]})
    with pytest.raises(BadInputError, match=r"^data\.corpus\.ko: cannot read nowhere\.jsonl") as no:
        Mixture(config, encoder)
    assert "--set data.corpus.ko=[your.jsonl]" in str(no.value)
    config = _config(records=["nowhere.jsonl"], documents={"records": 1})
    with pytest.raises(BadInputError, match=r"^data\.records: cannot read nowhere\.jsonl"):
        Mixture(config, encoder)
    prose = tmp_path / "prose.jsonl"
    prose.write_text(json.dumps({"text": "x"}), encoding="utf-8")
    config = _config(records=[str(prose)], documents={"records": 1})
    with pytest.raises(BadInputError, match=r"^data\.records: .* not an example record"):
        Mixture(config, encoder)
    config = _config(records=_records(tmp_path / "r.jsonl", " "), documents={"records": 1})
    with pytest.raises(BadInputError, match="no record with a document and a question"):
        Mixture(config, encoder)


def test_a_packed_row_holds_the_language_asked_for(
    mixture: Mixture, encoder: TextEncoder, articles: dict[str, str]
) -> None:
    for language in _LANGUAGES:
        ids = mixture.packed(random.Random(5), language, 400)
        assert len(ids) == 400
        begins = encoder.decode(ids)[:30]
        assert any(begins in text for id, text in articles.items() if id[:2] == language)


def test_prose_that_is_held_out_is_never_drawn(tmp_path: Path) -> None:
    run = "the ferry to the island leaves from the north quay at nine every morning"
    texts = [f"Sentence {n} of an ordinary text stands here. " * 5 for n in range(5)]
    corpus, test = tmp_path / "corpus.jsonl", tmp_path / "test.jsonl"
    write_records(corpus, [{"text": text} for text in (f"They say {run}. " * 5, *texts)])
    write_records(test, [{"text": f"A notice: {run}."}])
    values = {"corpus": {"en": [str(corpus)]}, "documents": {"passkey": 1.0}}
    encoder = TextEncoder(tiny_tokenizer())
    rng = random.Random(0)
    for held_out, drawn in (([], True), ([str(test)], False)):
        mixture = Mixture(MixtureConfig.model_validate({**values, "held_out": held_out}), encoder)
        found = [mixture.sample(rng, 60).document for _ in range(40)]
        assert any("ferry" in document for document in found) is drawn
    with pytest.raises(BadInputError, match=r"data\.held_out: cannot read"):
        Mixture(
            MixtureConfig.model_validate({**values, "held_out": [str(tmp_path / "no.jsonl")]}),
            encoder,
        )


def test_some_documents_are_asked_for_what_they_lack(
    encoder: TextEncoder, articles: dict[str, str], tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.jsonl"
    write_records(corpus, [{"text": text} for text in articles.values()])
    values = {"corpus": {"en": [str(corpus)]}, "absent": 0.5, "max_facts": 3}
    weights = {"passkey": 1.0, "facts": 1.0, "codes": 1.0}
    mixture = Mixture(MixtureConfig.model_validate({**values, "documents": weights}), encoder)
    rng = random.Random(0)
    lacking = 0
    for _ in range(60):
        example = mixture.sample(rng, 150)
        absent = [q for q in example.questions if q.kind.startswith("absent:")]
        lacking += len(absent)
        assert len(absent) <= 1
        assert all(question.answer == NOT_FOUND["en"] for question in absent)
        present = [q for q in example.questions if q not in absent]
        assert all(question.answer in example.document for question in present)
    assert 15 <= lacking <= 45


def _asked_and_told(
    config: dict[str, Any], encoder: TextEncoder, articles: dict[str, str], folder: Path
) -> tuple[list[Question], set[str]]:
    """Ask sixty documents of one needle; return the questions and the words of the corpus."""
    corpus = folder / "corpus.jsonl"
    write_records(corpus, [{"text": text} for text in articles.values()])
    values = {"corpus": {"en": [str(corpus)]}, "max_facts": 1, **config}
    mixture, rng = Mixture(MixtureConfig.model_validate(values), encoder), random.Random(0)
    asked = [mixture.sample(rng, 100).questions[0] for _ in range(60)]
    return asked, _words_of(" ".join(articles.values()))


def _words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def test_owners_may_be_named_by_words_of_the_corpus(
    encoder: TextEncoder, articles: dict[str, str], tmp_path: Path
) -> None:
    def of_the_corpus(share: float) -> int:
        weights = {"codes": 1.0, "facts": 1.0, "alike": 1.0, "value_first": 1.0}
        config = {"documents": weights, "any_name": share}
        asked, told = _asked_and_told(config, encoder, articles, tmp_path)
        return sum(not told.isdisjoint(_words_of(q.text)) for q in asked)

    assert of_the_corpus(0.0) == 0
    # Half of the words belong to no document; six names in ten have two words.
    assert 30 <= of_the_corpus(1.0) <= 55
    assert 10 <= of_the_corpus(0.5) <= 30


def test_persons_may_be_named_by_words_of_the_corpus_too(
    encoder: TextEncoder, articles: dict[str, str], tmp_path: Path
) -> None:
    """Half of them: from lists alone a model learns to guess the first name (docs/log.md)."""

    def of_the_corpus(share: float) -> int:
        config = {"documents": {"facts": 1.0}, "attributes": ["person"], "any_name": share}
        asked, told = _asked_and_told(config, encoder, articles, tmp_path)
        assert [q.answer for q in asked if q.answer[0].islower()] == []
        return sum(not told.isdisjoint(_words_of(q.answer)) for q in asked)

    assert of_the_corpus(0.0) == 0
    assert 10 <= of_the_corpus(1.0) <= 30


@pytest.mark.parametrize("language", ["en", "ko"])
def test_passphrases_may_be_of_any_tokens(
    language: Language, encoder: TextEncoder, articles: dict[str, str], tmp_path: Path
) -> None:
    """A token that prose hardly ever has must be met, or it will not be copied (docs/log.md)."""
    corpus = tmp_path / "corpus.jsonl"
    text = articles[f"{language}-0"]
    write_records(corpus, [{"text": text}])
    values = {"corpus": {language: [str(corpus)]}, "documents": {"passphrase": 1.0}}

    def drawn(share: float) -> list[str]:
        config = MixtureConfig.model_validate({**values, "any_name": share})
        mixture, rng = Mixture(config, encoder), random.Random(0)
        return [mixture.sample(rng, 60).questions[0].answer for _ in range(60)]

    assert all(answer in text for answer in drawn(0.0))
    letters = "[A-Za-z ]+" if language == "en" else "[가-힣 ]+"
    assert all(re.fullmatch(letters, answer) for answer in drawn(1.0))
    assert sum(answer in text for answer in drawn(1.0)) < 20


def test_what_is_absent_needs_an_attribute_of_its_own() -> None:
    values = {"corpus": {"en": ["x.jsonl"]}, "attributes": ["room", "phone"], "max_facts": 2}
    MixtureConfig.model_validate(values)
    with pytest.raises(ValidationError, match="max_facts=2 and one that is absent"):
        MixtureConfig.model_validate({**values, "absent": 0.5})


def test_an_article_is_asked_for_what_is_left_out_of_it(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    """Its body alone is the document; title, definition and lead stand before it."""
    quarters = "north south east west upper lower old new long market river church".split()
    body = " ".join(f"Farmers of the {q} quarter share a mill and two wells." for q in quarters)
    names = ["Halden", "Morvale", "Stockley", "Grimthorpe"]
    corpus = tmp_path / "corpus.jsonl"
    write_records(
        corpus,
        [
            {"title": n, "text": f"{n} is a village in the hills of the north.\n{body}"}
            for n in names
        ]
        + [{"title": "List", "text": f"It was raining.\n{body}"}, {"text": body}],
    )
    values = {"corpus": {"en": [str(corpus)]}, "documents": {"article": 1.0}}
    mixture = Mixture(MixtureConfig.model_validate(values), encoder)
    rng = random.Random(0)
    kinds: set[str] = set()
    sentences = 0
    for _ in range(60):
        example = mixture.sample(rng, 100)
        assert body.startswith(example.document)
        assert len(encoder.encode(example.document)) == pytest.approx(100, abs=1)
        answers = {q.kind.partition(":")[2]: q.answer for q in example.questions}
        kinds |= set(answers)
        sentences += bool({"lead", "summary"} & set(answers))
        title = answers["title"]
        assert title in names
        assert answers["topic"] == "a village in the hills of the north"
        assert answers.get("summary", f"{title} is").startswith(f"{title} is")
        yes_no = [q for q in example.questions if q.kind == "understanding:yes_no"]
        assert [q.answer for q in yes_no if title in q.text] == ["Yes"]
        assert [q.answer for q in yes_no if title not in q.text] in ([], ["No"])
    assert kinds == {"title", "topic", "summary", "lead", "yes_no", "part"}
    assert sentences < 60 / 2, "whole sentences outweigh everything else"
    with pytest.raises(BadInputError, match="no article of 5000 tokens"):
        mixture.sample(rng, 5000)


def test_prose_that_contains_every_answer_already_is_refused(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    path = tmp_path / "digits.txt"
    path.write_text("The code is 0 1 2 3 4 5 6 7 8 9. " * 40, encoding="utf-8")
    config = _config(corpus={"en": [str(path)]}, documents={"passkey": 1.0}, digits=[1])
    with pytest.raises(BadInputError, match=r"more digits in data\.digits"):
        Mixture(config, encoder).sample(random.Random(0), 400)


def test_pairs_are_of_words_of_the_corpus_and_stand_in_the_document(
    mixture: Mixture, articles: dict[str, str]
) -> None:
    rng, asked = random.Random(0), 0
    for _ in range(40):
        example = mixture.sample(rng, 200, {"pairs": 1.0})
        words = " ".join(text for id, text in articles.items() if id[:2] == example.language)
        for question in example.questions:
            assert question.answer in example.document
            if not question.answer.isdecimal():
                assert all(word in words for word in question.answer.split())
            asked += 1
    assert asked > 60, "several pairs in a document"
