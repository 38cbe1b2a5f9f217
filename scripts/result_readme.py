"""The generated parts of the READMEs: the demonstration, and scores at a glance."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from result_words import Words, provenance

from dnsity.cli.demo import HEADINGS
from dnsity.evaluation.markdown import table
from dnsity.evaluation.methods import heading
from dnsity.evaluation.row import Row
from dnsity.io.units import percent

METHODS = ("gist", "gist_wrong_document", "full", "rag", "rag_equal_kv", "none")
TASKS = {
    "niah_{}": "one passkey, 512 to 8,192 tokens",
    "niah_{}_32768": "one passkey, 32,768 tokens",
    "fact_{}_unseen": "a fact in unseen wording",
    "niah4_{}": "four codes with similar owners",
    "niah8_{}_2048": "eight codes with similar owners",
    "qa_{}": "questions on passages (F1)",
    "understanding_{}": "questions on articles (choice, chance 33%)",
}
UNTRAINED = ("niah_en_named_1000", "full", "select:ratio=10")


def demo(words: Words, report: dict[str, Any]) -> str:
    """Write what `make demo` prints, as a table."""
    lines: list[str] = []
    for document in report["documents"]:
        lines += [
            words.say(
                "document",
                name=document["document"],
                tokens=document["context_tokens"],
                gists=document["gist_tokens"],
                ratio=document["compression_ratio"],
                full=document["full_kv_bytes"] / 1e6,
                kept=document["gist_kv_bytes"] / 1e3,
                seconds=document["compress_s"],
            ),
            "",
            f"| {' | '.join(map(words.cell, ['question', *HEADINGS.values()]))} |",
            "|---|---|---|---|---|",
        ]
        lines += [_asked(words, question) for question in document["questions"]]
        lines.append("")
    return "\n".join(lines).rstrip()


def _asked(words: Words, question: dict[str, Any]) -> str:
    """Write one question of the demonstration with the answer of every method."""
    cells = []
    for name in HEADINGS:
        answer = question["methods"][name]
        shown = answer["answer"].replace("\n", " ").replace("|", "/")[:24]
        cells.append(
            words.say(
                "right" if answer["right"] else "wrong",
                answer=shown or words.say("nothing"),
                ms=1000 * answer["ttft_s"],
            )
        )
    return f"| {question['question']} | {' | '.join(cells)} |"


def results(
    words: Words,
    mini: dict[str, Any],
    far: dict[str, Any],
    documents: dict[str, Any],
    untrained: dict[str, Any],
) -> str:
    """Write the scores of the bundled model on the main tasks, and one line on a real base.

    Args:
        words: The language.
        mini: The summary of `eval_mini`.
        far: The summary of `eval_far`, whose rows replace those of the same task.
        documents: The summary of `eval_documents`.
        untrained: The summary of an evaluation of a base without gists.
    """
    tasks = {row["task"] for row in far["rows"]}
    scores = {key: row for each in (mini, documents) for key, row in _rows(each)}
    scores = {key: row for key, row in scores.items() if key[0] not in tasks} | dict(_rows(far))
    lines = [
        [words.cell(name), *(_both(scores, task, method) for method in METHODS)]
        for task, name in TASKS.items()
    ]
    header = ["25 gists, document length", *map(heading, METHODS)]
    told = words.say("results", **provenance(mini), far=provenance(far)["commit"])
    task, full, select = UNTRAINED
    base = dict(_rows(untrained))
    more = words.say(
        "untrained",
        model=base[task, full].model,
        documents=base[task, full].documents,
        full=percent(base[task, full].score.value, 0),
        select=percent(base[task, select].score.value, 0),
        ratio=select.rpartition("=")[2],
    )
    return "\n".join([told, "", *table([*map(words.cell, header)], lines), "", more])


def _rows(summary: dict[str, Any]) -> Iterable[tuple[tuple[str, str], Row]]:
    for each in summary["rows"]:
        row = Row.model_validate(each)
        yield (row.task, row.method), row


def _both(scores: dict[tuple[str, str], Row], task: str, method: str) -> str:
    """Write the scores in English and Korean; `-` where the method was not evaluated."""
    found = [scores.get((task.format(language), method)) for language in ("en", "ko")]
    cells = ["-" if row is None else percent(row.score.value, 0) for row in found]
    return "-" if set(cells) == {"-"} else " / ".join(cells)
