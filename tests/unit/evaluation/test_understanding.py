"""Understanding tasks: exact lengths, removed lead, suitable wrong choices."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from dnsity.config import validated
from dnsity.data.encode import TextEncoder
from dnsity.data.example import Language, Question
from dnsity.data.text.particles import fill
from dnsity.errors import BadInputError
from dnsity.evaluation.task import CHOICE, Item, Task
from dnsity.evaluation.tasks.understanding import Understanding
from tiny import tiny_tokenizer

LANGUAGES: tuple[Language, ...] = get_args(Language)
# Title -> definition; no two share half of their words.
SUBJECTS: dict[Language, dict[str, str]] = {
    "en": {
        "Mara Tillow": "a Welsh painter known for quiet harbour scenes",
        "Ostrel": "a city on the northern bank of the Wend",
        "Marsh fever": "an infection that swept through lowland villages",
        "Quillon": "a stringed instrument played with two bows",
        "Treaty of Vask": "a trade agreement between three island states",
        "Silver heron": "a wading bird found near salt lakes",
        "Glass bridge problem": "an unsolved puzzle in combinatorial geometry",
        "The Long Orchard": "a novel about four sisters and their farm",
        "Ferrow cheese": "a hard dairy product aged inside limestone caves",
        "Dunmar": "the second moon discovered around planet Helk",
    },
    "ko": {
        "김나루": "고요한 항구 풍경으로 이름난 화가",
        "오스트렐": "웬드강 북쪽 기슭에 자리한 도시",
        "늪지열": "낮은 지대 마을들을 휩쓴 전염병",
        "퀼론": "두 개의 활로 켜는 현악기",
        "바스크 조약": "세 섬나라 사이에 맺은 무역 협정",
        "은빛왜가리": "소금 호수 가까이에서 발견되는 새",
        "유리다리 문제": "조합 기하학에서 풀리지 않은 수수께끼",
        "긴 과수원": "네 자매와 그들의 농장을 다룬 소설",
        "페로 치즈": "석회암 동굴에서 숙성시킨 딱딱한 유제품",
        "둔마르": "행성 헬크 둘레에서 두 번째로 찾아낸 달",
    },
}
OPENING: dict[Language, str] = {"en": "{t} is {d}.", "ko": "{t}{은는} {d}{이다}."}
LINE: dict[Language, str] = {
    "en": "The keepers of house number {i} counted every lantern before the winter storms.",
    "ko": "{i}번째 집의 사람들은 겨울 폭풍이 오기 전에 등불을 모두 세어 두었다.",
}
KINDS = ("title", "topic", "lead", "part", "summary", "yes_no")
GENERATED = ("title", "topic", "summary")


def body(language: Language, number: int, lines: int = 40) -> str:
    """Sentences that occur in one article only, five to a paragraph."""
    sentences = [LINE[language].format(i=number * 1000 + i) for i in range(lines)]
    return "\n".join(" ".join(sentences[at : at + 5]) for at in range(0, lines, 5))


def opening(language: Language, title: str) -> str:
    return fill(OPENING[language], t=title, d=SUBJECTS[language][title])


def records(language: Language) -> list[dict[str, str]]:
    return [
        {
            "id": f"{language}-{number}",
            "title": title,
            "text": f"{opening(language, title)}\n{body(language, number)}",
        }
        for number, title in enumerate(SUBJECTS[language])
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(tiny_tokenizer())


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> dict[Language, str]:
    folder = tmp_path_factory.mktemp("articles")
    return {one: write(folder / f"{one}.jsonl", records(one)) for one in LANGUAGES}


def draw(
    encoder: TextEncoder,
    path: str,
    language: Language,
    limit: int = 100,
    seed: int = 0,
    **more: Any,
) -> list[Task]:
    settings = {"tokens": [305, 600], **more}
    family = Understanding(family="understanding", language=language, documents=path, **settings)
    return family.make_tasks(encoder, limit=limit, seed=seed)


def asked(item: Item, kind: str) -> list[Question]:
    return [one for one in item.questions if one.kind == f"understanding:{kind}"]


def number_of(item: Item) -> int:
    return int(item.id.split("-")[1].split(":")[0])


@pytest.mark.parametrize("language", LANGUAGES)
def test_documents_have_the_exact_length_and_begin_after_the_lead(
    encoder: TextEncoder, articles: dict[Language, str], language: Language
) -> None:
    choose, generate = draw(encoder, articles[language], language)
    assert [task.name for task in (choose, generate)] == [
        f"understanding_{language}",
        f"understanding_{language}_generate",
    ]
    assert (choose.metric, generate.metric) == (CHOICE, "rouge_l")
    assert Counter(item.labels["tokens"] for item in choose.items) == {305: 10, 600: 10}
    for item, other in zip(choose.items, generate.items, strict=True):
        assert (item.id, item.document) == (other.id, other.document)
        assert len(encoder.encode(item.document)) == item.labels["tokens"]
        assert item.labels["language"] == language
        assert body(language, number_of(item)).startswith(item.document)
    assert len({item.id for item in choose.items}) == 20


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_is_asked_and_its_answer_is_right(
    encoder: TextEncoder, articles: dict[Language, str], language: Language
) -> None:
    choose, generate = draw(encoder, articles[language], language)
    titles = list(SUBJECTS[language])
    yes = "Yes" if language == "en" else "예"
    for item, same in zip(choose.items, generate.items, strict=True):
        title = titles[number_of(item)]
        definition = SUBJECTS[language][title]
        answers = {"title": title, "topic": definition, "summary": opening(language, title)}
        assert Counter(question.kind for question in item.questions) == {
            f"understanding:{kind}": 2 if kind == "yes_no" else 1 for kind in KINDS
        }
        assert [one.kind for one in same.questions] == [f"understanding:{one}" for one in GENERATED]
        for kind, answer in answers.items():
            assert asked(item, kind)[0].answer == answer
            assert asked(same, kind)[0].answer == answer
            assert asked(same, kind)[0].choices == ()
            assert asked(same, kind)[0].text == asked(item, kind)[0].text
        lead = asked(item, "lead")[0].answer
        assert "____" in lead
        assert definition in lead
        about_own, about_other = asked(item, "yes_no")
        assert title in about_own.text
        assert about_own.answer == yes
        assert title not in about_other.text
        assert about_other.answer != yes


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_right_choice_occurs_once_among_different_ones_of_other_articles(
    encoder: TextEncoder, articles: dict[Language, str], language: Language
) -> None:
    choose = draw(encoder, articles[language], language)[0]
    texts = {
        kind: {asked(item, kind)[0].answer for item in choose.items}
        for kind in ("title", "topic", "lead", "summary")
    }
    places: Counter[int] = Counter()
    for item in choose.items:
        for question in item.questions:
            kind = question.kind.removeprefix("understanding:")
            assert question.choices.count(question.answer) == 1
            assert len(set(question.choices)) == len(question.choices)
            assert len(question.choices) == {"part": 3, "yes_no": 2}.get(kind, 4)
            if kind in texts:
                assert set(question.choices) <= texts[kind]
                places[question.choices.index(question.answer)] += 1
    assert set(places) == {0, 1, 2, 3}
    assert choose.random_guess == pytest.approx((4 / 4 + 1 / 3 + 2 / 2) / 7)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_masked_lead_names_its_subject(
    encoder: TextEncoder, articles: dict[Language, str], language: Language
) -> None:
    for item in draw(encoder, articles[language], language)[0].items:
        for choice in asked(item, "lead")[0].choices:
            assert not any(title in choice for title in SUBJECTS[language])


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentence_is_in_the_third_that_is_right(
    encoder: TextEncoder, articles: dict[Language, str], language: Language
) -> None:
    answers: Counter[int] = Counter()
    for item in draw(encoder, articles[language], language)[0].items:
        question = asked(item, "part")[0]
        sentence = question.text.split("? ", 1)[1]
        assert item.document.count(sentence) == 1
        middle = item.document.index(sentence) + len(sentence) / 2
        right = question.choices.index(question.answer)
        assert right < 3 * middle / len(item.document) < right + 1
        answers[right] += 1
    assert set(answers) == {0, 1, 2}


def test_same_seed_same_items_and_another_seed_others(
    encoder: TextEncoder, articles: dict[Language, str]
) -> None:
    first = draw(encoder, articles["en"], "en")
    assert first == draw(encoder, articles["en"], "en")
    other = draw(encoder, articles["en"], "en", seed=1)
    assert [item.id for item in first[0].items] != [item.id for item in other[0].items]


def test_a_longer_run_begins_with_the_shorter_and_first_meets_every_article_once(
    encoder: TextEncoder, articles: dict[Language, str]
) -> None:
    long = draw(encoder, articles["ko"], "ko")
    for limit in (1, 7, 13):
        short = draw(encoder, articles["ko"], "ko", limit=limit)
        assert [task.items for task in short] == [task.items[:limit] for task in long]
    assert len({number_of(item) for item in long[0].items[:10]}) == 10
    assert Counter(item.labels["tokens"] for item in long[0].items[:10]) == {305: 5, 600: 5}


def test_forms_can_be_had_apart(encoder: TextEncoder, articles: dict[Language, str]) -> None:
    both = draw(encoder, articles["en"], "en", limit=3)
    assert draw(encoder, articles["en"], "en", limit=3, forms=["choose"]) == both[:1]
    assert draw(encoder, articles["en"], "en", limit=3, forms=["generate"]) == both[1:]


def test_a_title_the_article_mentions_is_no_wrong_choice(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    rows = records("en")
    rows[0]["text"] += "\nThe Quillon and the Silver Heron were known in Ostrel."
    path = write(tmp_path / "mentions.jsonl", rows)
    for seed in range(5):
        for item in draw(encoder, path, "en", seed=seed)[0].items:
            if number_of(item) == 0:
                everything = " ".join(one.text + str(one.choices) for one in item.questions)
                assert not re.search("Quillon|heron|Ostrel|stringed|wading|bank", everything)


def test_choices_that_might_be_as_right_are_never_together(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    rows = records("en")
    rows[1]["text"] = f"Ostrel is a Welsh painter of harbours and rivers.\n{body('en', 1)}"
    path = write(tmp_path / "alike.jsonl", rows)
    for seed in range(5):
        for item in draw(encoder, path, "en", seed=seed)[0].items:
            if number_of(item) < 2:
                choices = asked(item, "topic")[0].choices
                assert sum("Welsh painter" in choice for choice in choices) == 1


def test_the_length_does_not_say_which_choice_is_right(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    words = "amber birch cedar delta ember fjord grove heath islet jetty knoll larch".split()
    rows = []
    for number in range(120):
        picked = [f"{words[(number + at) % 12]}{number}" for at in range(2 + number % 9)]
        title = f"Place{number:03}"
        text = f"{title} is a {' '.join(picked)} of the north.\n{body('en', number, 8)}"
        rows.append({"id": f"x-{number}", "title": title, "text": text})
    path = write(tmp_path / "lengths.jsonl", rows)
    for kind in ("topic", "lead", "summary"):
        longest = shortest = 0
        items = draw(encoder, path, "en", tokens=[100], limit=120)[0].items
        for item in items:
            question = asked(item, kind)[0]
            longest += len(question.answer) == max(map(len, question.choices))
            shortest += len(question.answer) == min(map(len, question.choices))
        assert len(items) == 120
        assert 0.12 < longest / 120 < 0.38
        assert 0.12 < shortest / 120 < 0.38


def test_a_line_that_is_the_title_belongs_to_neither_lead_nor_document(
    encoder: TextEncoder, tmp_path: Path, articles: dict[Language, str]
) -> None:
    rows = records("en")
    for number, row in enumerate(rows):
        heading = (row["title"], f"# {row['title']}", f"== {row['title']} ==")[number % 3]
        row["text"] = f"{heading}\n\n{row['text']}"
        row["title"] += " (in a story)"  # told from its namesakes
    path = write(tmp_path / "headings.jsonl", rows)
    assert draw(encoder, path, "en") == draw(encoder, articles["en"], "en")


def test_short_articles_are_skipped_and_damaged_ones_left_out(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    rows = records("en")
    rows[0]["text"] = f"{opening('en', 'Mara Tillow')}\n{body('en', 0, 5)}"
    rows[1]["text"] = f"Nobody knows what became of the city.\n{body('en', 1)}"
    rows[2]["title"] = ""
    rows.append({**rows[3], "id": "en-10"})  # the same title again
    rows.append({**rows[4], "title": "Another"})  # the same id again
    path = write(tmp_path / "some.jsonl", rows)
    items = draw(encoder, path, "en", tokens=[500])[0].items
    assert sorted(map(number_of, items)) == [3, 4, 5, 6, 7, 8, 9]


def test_what_does_not_suffice_is_said(encoder: TextEncoder, tmp_path: Path) -> None:
    few = write(tmp_path / "few.jsonl", records("en")[:3])
    with pytest.raises(BadInputError, match=r"few\.jsonl: 3 of 3 documents .* 4 are needed"):
        draw(encoder, few, "en")
    untitled = write(tmp_path / "untitled.jsonl", [{**row, "title": ""} for row in records("en")])
    with pytest.raises(BadInputError, match=r"0 of 10 documents are suitable.*a title"):
        draw(encoder, untitled, "en")
    short = write(tmp_path / "short.jsonl", records("en"))
    with pytest.raises(
        BadInputError, match=r"no article has 90000 tokens .* longest has \d+; lower"
    ):
        draw(encoder, short, "en", tokens=[90_000])
    with pytest.raises(BadInputError, match=r"none\.jsonl"):
        draw(encoder, str(tmp_path / "none.jsonl"), "en")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tokens": []}, "tokens"),
        ({"tokens": [0]}, "tokens.0"),
        ({"forms": []}, "forms"),
        ({"forms": ["guess"]}, "choose"),
        ({"language": "fr"}, "'en' or 'ko'"),
        ({"document": "x"}, "did you mean 'documents'"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], message: str) -> None:
    values = {"family": "understanding", "language": "en", "documents": "x.jsonl", **settings}
    with pytest.raises(BadInputError, match=message):
        validated(Understanding, values, "a test")


def test_an_article_that_mentions_all_others_is_still_asked_about(
    encoder: TextEncoder, tmp_path: Path
) -> None:
    rows = records("en")
    rows[0]["text"] += "\n" + " and ".join(SUBJECTS["en"])
    path = write(tmp_path / "all.jsonl", rows)
    for item in draw(encoder, path, "en")[0].items:
        if number_of(item) == 0:
            assert [one.kind for one in item.questions] == [
                "understanding:part",
                "understanding:yes_no",
            ]
