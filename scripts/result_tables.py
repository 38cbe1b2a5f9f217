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
from result_readme import cost, demo, results
from result_targets import targets
from result_words import Words

from dnsity.evaluation import tables
from dnsity.evaluation.markdown import table
from dnsity.evaluation.row import Row
from dnsity.io.units import data_size, duration
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
    """Scores of every method on every task, and what they cost on one of them."""
    rows = [Row.model_validate(row) for row in summary["rows"]]
    gist = next(row for row in rows if row.method == "gist")
    told = words.say(
        "evaluation",
        documents=sum(row.documents for row in rows if row.method == "gist"),
        tasks=len({row.task for row in rows}),
        gists=gist.cost.slots if gist.cost else 0,
        window=read_config(find(BUNDLED)).spec.window_tokens,
        **_provenance(summary),
    )
    return "\n".join([told, "", *_translated(words, tables.glance(rows))])


def against_plan(words: Words, evaluations: list[dict[str, Any]], costs: dict[str, Any]) -> str:
    """Every target with its measured value."""
    rows = [[Row.model_validate(row) for row in summary["rows"]] for summary in evaluations]
    lines = [
        [words.cell(what), planned, wanted, words.cell(measured)]
        for what, planned, wanted, measured in targets(*rows, costs)
    ]
    header = ["25 gists", "planned", "target", "measured, English / Korean"]
    return "\n".join(table([*map(words.cell, header)], lines))


RATIOS = {
    "compress_over_prefill": "compression time / prefill time",
    "compress_peak_over_prefill": "its peak memory / peak memory of prefill",
    "warm_with_load_over_none": "TTFT, gists loaded from disk / TTFT without a document",
    "warm_over_rag": "TTFT / TTFT of RAG top-3",
    "warm_over_full": "TTFT / TTFT of full context",
    "kv_over_full": "KV cache / KV cache of full context",
}


def _ratios(words: Words, columns: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [words.cell(name), *(_ratio(column[key]) for column in columns)]
        for key, name in RATIOS.items()
    ]


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def shapes(words: Words, results: list[dict[str, Any]]) -> str:
    """The same ratios on models of real shapes, each at its longest document."""
    columns = [max(result["ratios"], key=lambda row: row["tokens"]) for result in results]
    header = [words.say("multiple", gists=results[-1]["gists"])]
    for result, column in zip(results, columns, strict=True):
        config = result["manifest"]["config"]
        kind = config["quantization"] or config["dtype"]
        header.append(f"{config['shape']}, {kind}, {column['tokens']:,}")
    told = words.say("shapes", **_provenance(results[-1]))
    return "\n".join([told, "", *table(header, _ratios(words, columns))])


def bench(words: Words, result: dict[str, Any]) -> str:
    """What answering costs at the longest document, and the ratios at every length."""
    longest = max(row["tokens"] for row in result["rows"])
    lines = []
    for row in result["rows"]:
        if row["tokens"] != longest:
            continue
        fit, even = row["documents_in_8_gb"], row["break_even_questions"]
        lines.append(
            [
                words.cell(row["method"].replace("_", " ")),
                duration(row["ingest_s"]),
                data_size(row["stored_bytes"]),
                "-" if row["load_s"] is None else duration(row["load_s"]),
                duration(row["warm_ttft_s"]["median"]),
                f"{row['tokens_per_second'] or 0:.0f}",
                data_size(row["answer_peak_bytes"]),
                "-" if fit is None else f"{fit:,}",
                "-" if even is None else str(even),
            ]
        )
    header = ["method", "prepare (once)", "stored", "load", "warm TTFT", "tokens/s"]
    header += ["memory to answer", "documents in 8 GB", "break-even"]
    ratios = _ratios(words, result["ratios"])
    lengths = [words.say("length", tokens=row["tokens"]) for row in result["ratios"]]
    batch = result["batch"]
    told = words.say(
        "batch",
        documents=batch["documents"],
        gist=batch["gist_tokens_per_second"],
        none=batch["none_tokens_per_second"],
        files=result["store"]["files"],
        opened=duration(result["store"]["open_s"]["median"]),
    )
    return "\n".join(
        [
            words.say("cost", tokens=longest, **_provenance(result)),
            "",
            *table([*map(words.cell, header)], lines),
            "",
            *table([words.say("multiple", gists=result["gists"]), *lengths], ratios),
            "",
            told,
        ]
    )


def training(words: Words, costs: dict[str, Any], run: dict[str, Any]) -> str:
    """The result of a short training run, and the cost of a step by each training path."""
    result, probe = run["result"], run["result"]["probe"]
    names = {
        "two_pass": "two segments: each document compressed once",
        "masked": "one masked sequence",
        "one_question": "one masked sequence per question",
        "plain": "language modelling of the document alone",
    }
    lines = [
        [
            words.cell(names[row["step"]]),
            f"{row['tokens']:,}",
            f"{row['seconds']:.2f}",
            "-" if row["questions_per_second"] is None else f"{row['questions_per_second']:.2f}",
            data_size(row["peak_bytes"]),
        ]
        for row in costs["training"]
    ]
    learned = words.say(
        "run",
        config=Path(run["config"]).name,
        minutes=result["seconds"] / 60,
        cores=run["manifest"]["hardware"]["cores"],
        documents=probe["documents"],
        least=min(probe["tokens"]),
        most=max(probe["tokens"]),
        gists=run["manifest"]["config"]["gist"]["gists"],
        **{name: probe[name] for name in ("gist", "full", "none")},
    )
    asked = max(row["questions"] for row in costs["training"])
    step = words.say("step", asked=asked, **_provenance(costs))
    header = ["step", "document tokens", "seconds", "questions/s", "peak memory"]
    return "\n".join([learned, "", step, "", *table([*map(words.cell, header)], lines)])


def card(words: Words, result: dict[str, Any]) -> str:
    """What training on one card is estimated to take."""
    lines = [
        [
            f"`{row['config']}`",
            str(row["steps"]),
            f"{row['peak_bytes'] / 1e9:.0f} GB",
            f"{row['seconds'] / 3600:.0f}",
        ]
        for row in result["estimates"]
    ]
    told = words.say("card", **result["manifest"]["config"])
    header = ["configuration", "steps", "estimated memory", "estimated hours"]
    return "\n".join([told, "", *table([*map(words.cell, header)], lines)])


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


def _provenance(result: dict[str, Any]) -> dict[str, Any]:
    manifest = result["manifest"]
    return {
        "cpu": manifest["hardware"]["cpu"] or "CPU",
        "cores": manifest["hardware"]["cores"],
        "commit": manifest["commit"][:10],
        "dtype": manifest["config"].get("dtype"),
    }


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
