"""Fill the generated tables of README and guide from results/ (`make results`).

With `--check` nothing is written, and the exit status is 1 if a table is stale.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from result_bases import bases
from result_costs import bench, card, cost, shapes, training
from result_readme import demo, results
from result_targets import targets
from result_words import Words, provenance

from dnsity.evaluation import tables
from dnsity.evaluation.markdown import table
from dnsity.evaluation.row import Row
from dnsity.model.checkpoint import find, read_config
from dnsity.model.names import BUNDLED

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "README.md": "en",
    "README.ko.md": "ko",
    "docs/results.md": "en",
    "docs/results.ko.md": "ko",
}
SHAPES = (
    "mini_bfloat16",
    "qwen3_0.6b_bfloat16",
    "qwen3_0.6b_float32",
    "llama_3.2_1b_bfloat16",
)
BASES = ("eval_smollm2", "eval_qwen_coder")
"""Evaluations of real bases; these and `eval_frames` are optional."""


def evaluation(words: Words, summary: dict[str, Any]) -> str:
    """Write the scores of every method on every task."""
    rows = [Row.model_validate(row) for row in summary["rows"]]
    gist = next(row for row in rows if row.method == "gist")
    told = words.say(
        "evaluation",
        documents=sum(row.documents for row in rows if row.method == "gist"),
        tasks=len({row.task for row in rows}),
        gists=gist.cost.slots if gist.cost else 0,
        window=read_config(find(BUNDLED)).spec.window_tokens,
        **provenance(summary),
    )
    return "\n".join([told, "", *_translated(words, tables.glance(rows))])


def against_plan(words: Words, evaluations: list[dict[str, Any]], costs: dict[str, Any]) -> str:
    """Write every target with its measured value."""
    rows = [[Row.model_validate(row) for row in summary["rows"]] for summary in evaluations]
    lines = [
        [words.cell(what), planned, wanted, words.cell(measured)]
        for what, planned, wanted, measured in targets(*rows, costs)
    ]
    header = ["25 gists", "planned", "target", "measured, English / Korean"]
    return "\n".join(table([*map(words.cell, header)], lines))


def render(page: str, language: str) -> str:
    """Return a page with every generated part written anew."""
    words = Words(language)
    mini, far, documents = map(_result, ("eval_mini", "eval_far", "eval_documents"))
    costs = _result("bench_cost_mini")
    parts = {
        "demo": lambda: demo(words, _result("demo")),
        "results": lambda: results(words, mini, far, documents, _result(BASES[0])),
        "cost": lambda: cost(words, costs),
        "targets": lambda: against_plan(words, [mini, far, documents], costs),
        "evaluation": lambda: evaluation(words, mini),
        "documents": lambda: evaluation(words, documents),
        "bases": lambda: bases(
            words,
            [_result(name) for name in BASES if _exists(name)],
            _result("eval_frames") if _exists("eval_frames") else None,
        ),
        "bench": lambda: bench(words, costs),
        "shapes": lambda: shapes(words, [_result(f"bench_cost_{name}") for name in SHAPES]),
        "training": lambda: training(words, costs, _result("gist_25")),
        "card": lambda: card(words, _result("estimate_24gb")),
    }
    for name, write in parts.items():
        marks = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        if pattern.search(page):
            lines = "\n".join(part for part in (marks[0], write(), marks[1]) if part)
            page = pattern.sub(lambda _, made=lines: made, page)
    return page


def _translated(words: Words, lines: list[str]) -> list[str]:
    """Translate the header of a table."""
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return table([*map(words.cell, header)], rows)


def _exists(name: str) -> bool:
    return (ROOT / "results" / f"{name}.json").exists()


def _result(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))
    return loaded


def main() -> int:
    """Write the pages, or with `--check` compare only."""
    stale = 0
    for name, language in PAGES.items():
        path = ROOT / name
        old = path.read_text(encoding="utf-8")
        new = render(old, language)
        if "--check" in sys.argv[1:]:
            stale |= new != old
        else:
            path.write_text(new, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main())
