"""Task families: names, items, exact prompts; longer runs begin with the same items."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from dnsity.data.encode import TextEncoder
from dnsity.data.example import Example, Question
from dnsity.data.readers import exams
from dnsity.data.readers.longbench import LIMITS, PROMPTS
from dnsity.errors import BadInputError
from dnsity.evaluation.metrics import METRICS
from dnsity.evaluation.task import CHOICE, Item, Task
from dnsity.evaluation.tasks import AnyFamily, Exam, LongBench, Niah, Own
from dnsity.io.jsonl import write_records
from tiny import DOCUMENT, tiny_tokenizer

ENCODER = TextEncoder(tiny_tokenizer())


def draw(family: AnyFamily, limit: int = 10, seed: int = 0) -> list[Task]:
    return family.make_tasks(ENCODER, limit=limit, seed=seed)


@pytest.fixture
def prose(tmp_path: Path) -> str:
    path = tmp_path / "prose.jsonl"
    text = " ".join(f"The boat of family {i} left the harbour before dawn." for i in range(400))
    path.write_text(json.dumps({"id": "a", "text": text}) + "\n", encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("changes", "name", "questions"),
    [
        ({}, "niah_en", 1),
        ({"kind": "fact"}, "fact_en", 1),
        ({"needles": 4}, "niah4_en", 4),
        ({"haystack": "filler", "needles": 2}, "niah2_en_filler", 2),
        ({"kind": "fact", "absent": 2}, "fact_en_absent", 3),
    ],
)
def test_needles_have_the_length_and_the_questions_they_say(
    prose: str, changes: dict[str, object], name: str, questions: int
) -> None:
    values = {"family": "niah", "language": "en", "haystack": prose, "tokens": [700], **changes}
    family = Niah.model_validate(values)
    (task,) = draw(family, limit=6)
    assert task.name == family.name == f"{name}_700"
    assert task.metric == "exact"
    assert [len(ENCODER.encode(item.document)) for item in task.items] == [700] * 6
    assert {len(item.questions) for item in task.items} == {questions}
    assert {item.labels["depth"] for item in task.items} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert draw(family, limit=3)[0].items == task.items[:3]
    assert draw(family, limit=6, seed=1)[0].items != task.items


def test_a_grid_has_as_many_documents_in_every_cell() -> None:
    family = Niah(family="niah", language="ko", tokens=[300, 400], depths=[0.0, 1.0])
    (task,) = draw(family, limit=8)
    cells = [(item.labels["tokens"], item.labels["depth"]) for item in task.items]
    assert {cell: cells.count(cell) for cell in cells} == dict.fromkeys(
        [(300, 0.0), (400, 0.0), (300, 1.0), (400, 1.0)], 2
    )


def test_tasks_of_other_lengths_and_wordings_have_other_names() -> None:
    values = {"family": "niah", "language": "ko", "kind": "fact"}
    names = [
        Niah.model_validate({**values, **more}).name
        for more in ({}, {"tokens": [400]}, {"wording": "unseen", "tokens": [400]})
    ]
    assert names == ["fact_ko_filler", "fact_ko_filler_400", "fact_ko_unseen_filler_400"]


def test_unseen_wording_is_asked_in_no_seen_words() -> None:
    values = {"family": "niah", "language": "en", "kind": "fact", "tokens": [120]}
    asked = {
        part: {
            question.text
            for item in draw(Niah.model_validate({**values, "wording": part}), limit=40)[0].items
            for question in item.questions
        }
        for part in ("seen", "unseen")
    }
    assert asked["seen"].isdisjoint(asked["unseen"])


def test_the_open_book_is_asked_on_its_documents() -> None:
    (task,) = draw(Exam(family="exam"), limit=3)
    assert (task.name, task.metric) == ("exam_open_book", CHOICE)
    assert len(task.items) == 3
    book = list(exams.open_book())
    assert [item.document for item in task.items] == [one.document for one in book[:3]]
    assert task.random_guess == 0.25
    assert all(item.labels["book"] == "open" for item in task.items)


def _click(folder: Path) -> Path:
    path = folder / "click_law_psat.json"
    rows = [
        {
            "id": f"PSAT_17_{number}",
            "paragraph": "",
            "question": f"물음 {number}",
            "choices": ["하나", "둘", "셋"],
            "answer": "둘",
        }
        for number in range(10)
    ]
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return path


def test_closed_book_questions_follow_unrelated_documents(tmp_path: Path) -> None:
    (task,) = draw(Exam(family="exam", source=f"click:{_click(tmp_path)}"))
    assert task.name == "exam_click_law_psat"
    assert len(task.items) == 10
    assert {item.labels["book"] for item in task.items} == {"closed"}
    documents = [item.document for item in task.items]
    assert set(documents) == {one.document for one in exams.open_book()}
    assert all(a != b for a, b in itertools.pairwise(documents))


def test_letters_replace_choices(tmp_path: Path) -> None:
    source = f"click:{_click(tmp_path)}"
    (task,) = draw(Exam(family="exam", source=source, candidates="letter"), limit=1)
    question = task.items[0].questions[0]
    assert task.name == "exam_click_law_psat_letter"
    assert question.text == "물음 0\nA. 하나\nB. 둘\nC. 셋\n정답:"
    assert (question.choices, question.answer) == (("A", "B", "C"), "B")


@pytest.fixture
def longbench(tmp_path: Path) -> Path:
    """Three tasks in the official form, one of them Chinese."""
    prompts = {
        "qasper": "Article: {context}\n\n Question: {input}\n\nAnswer:",
        "gov_report": "Report:\n{context}\n\nNow, a summary.\n\nSummary:",
        "multifieldqa_zh": "阅读文字：\n\n{context}\n\n问题：{input}\n回答：",
    }
    (tmp_path / PROMPTS).write_text(json.dumps(prompts), encoding="utf-8")
    limits = {"qasper": 128, "gov_report": 512, "multifieldqa_zh": 64}
    (tmp_path / LIMITS).write_text(json.dumps(limits), encoding="utf-8")
    for name in prompts:
        row = {
            "input": "" if name == "gov_report" else "When?",
            "context": f"{DOCUMENT} {{input}} is no field here.",
            "answers": ["at nine", "9"],
            "length": 5000,
            "dataset": name,
            "language": "zh" if name.endswith("zh") else "en",
            "all_classes": None,
            "_id": "0",
        }
        (tmp_path / f"{name}.jsonl").write_text(
            json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    return tmp_path


def test_longbench_keeps_every_word_of_the_official_prompt(longbench: Path) -> None:
    tasks = {task.name: task for task in draw(LongBench(family="longbench", folder=str(longbench)))}
    assert set(tasks) == {
        "longbench_qasper",
        "longbench_gov_report",
        "longbench_multifieldqa_zh",
    }
    qasper = tasks["longbench_qasper"]
    assert qasper.max_new_tokens == 128
    (item,) = qasper.items
    assert item.questions[0].text == "Article:\n\nQuestion: When?\n\nAnswer:"
    assert item.document == f"{DOCUMENT} {{input}} is no field here."
    assert item.questions[0].alternatives == ("9",)
    assert item.labels == {"language": "en", "words": "4k-8k"}
    assert METRICS[qasper.metric]("at nine", item.questions[0]) == 1.0
    report = tasks["longbench_gov_report"].items[0].questions[0].text
    assert report == "Report:\n\nNow, a summary.\n\nSummary:"
    assert tasks["longbench_multifieldqa_zh"].items[0].labels["language"] == "zh"


def test_needles_may_be_scored_within_a_sentence() -> None:
    settings = {"family": "niah", "language": "en", "tokens": [200]}
    exact, contains = (
        draw(Niah.model_validate({**settings, **more}))[0] for more in ({}, {"metric": "contains"})
    )
    assert (exact.metric, contains.metric) == ("exact", "contains")
    assert exact.items == contains.items
    question = exact.items[0].questions[0]
    said = f"The password is {question.answer}."
    scores = [METRICS[task.metric](said, question) for task in (exact, contains)]
    assert scores == [0.0, 1.0]


def test_longbench_leaves_out_documents_that_are_too_long(longbench: Path) -> None:
    path = longbench / "qasper.jsonl"
    row = json.loads(path.read_text("utf-8"))
    rows = [{**row, "context": text, "_id": text} for text in ("at nine " * 300, "at ten", "noon")]
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    settings = {"family": "longbench", "folder": str(longbench), "datasets": ["qasper"]}

    def names(limit: int, **more: int) -> list[str]:
        family = LongBench.model_validate({**settings, **more})
        (task,) = family.make_tasks(TextEncoder(tiny_tokenizer()), limit=limit, seed=0)
        return [item.id for item in task.items]

    assert names(2) == [f"0:{'at nine ' * 300}", "1:at ten"]
    assert names(2, max_tokens=100) == ["1:at ten", "2:noon"]
    assert names(1, max_tokens=100) == ["1:at ten"]
    with pytest.raises(BadInputError, match=r"qasper\.jsonl has no document of at most 1 tokens"):
        names(2, max_tokens=1)


def test_longbench_without_records_says_how_to_get_them(longbench: Path) -> None:
    for path in longbench.glob("*.jsonl"):
        path.unlink()
    with pytest.raises(BadInputError, match="dnsity data longbench"):
        draw(LongBench(family="longbench", folder=str(longbench)))


def _own(tmp_path: Path, *questions: Question, document: str = DOCUMENT) -> str:
    path = tmp_path / "mine.jsonl"
    write_records(path, [Example(document, questions, "en", "s").to_record()])
    return str(path)


def test_own_questions_are_asked_as_they_are(tmp_path: Path) -> None:
    question = Question("What?", "60479", "passkey", choices=("60479", "1"))
    path = _own(tmp_path, question)
    (task,) = draw(Own(family="own", path=path, metric="contains", max_new_tokens=7))
    assert task.items == (Item("0:s", DOCUMENT, (question,), {"language": "en"}),)
    assert (task.name, task.metric, task.max_new_tokens) == ("own_mine", "contains", 7)
    assert task.random_guess is None
    assert draw(Own(family="own", path=path, metric=CHOICE))[0].random_guess == 0.5


def test_own_questions_that_cannot_be_asked_are_named(tmp_path: Path) -> None:
    for question in (Question("What?", "a", "k"), Question("What?", "a", "k", choices=("b", "c"))):
        path = _own(tmp_path, question)
        with pytest.raises(BadInputError, match="record 1: 'What\\?' needs at least two choices"):
            draw(Own(family="own", path=path, metric=CHOICE))
    path = _own(tmp_path, Question("What?", "a", "k"), document=" ")
    with pytest.raises(BadInputError, match="record 1 needs a document"):
        draw(Own(family="own", path=path))


def test_a_family_is_chosen_by_its_name() -> None:
    adapter: TypeAdapter[AnyFamily] = TypeAdapter(AnyFamily)
    assert isinstance(adapter.validate_python({"family": "exam"}), Exam)
