"""Fill the README's generated parts from results/ (`make results`); `--check` finds them stale."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from dnsity.evaluation import tables
from dnsity.evaluation.markdown import table
from dnsity.evaluation.row import Row
from dnsity.evaluation.units import data_size, duration
from dnsity.model.checkpoint import BUNDLED, find, read_config

ROOT = Path(__file__).resolve().parent.parent


def evaluation(summary: dict[str, Any]) -> str:
    """Scores of every method on every task, and what they cost on one of them."""
    manifest = summary["manifest"]
    rows = [Row.model_validate(row) for row in summary["rows"]]
    gist = next(row for row in rows if row.method == "gist")
    window = read_config(find(BUNDLED)).spec.window_tokens
    documents = sum(row.documents for row in rows if row.method == "gist")
    return "\n".join(
        [
            f"{documents:,} documents in {len({row.task for row in rows})} tasks, "
            f"{gist.cost.slots if gist.cost else 0:.0f} gists per document of up to "
            f"{window:,} tokens. {manifest['hardware']['cpu'] or 'CPU'}, "
            f"{manifest['hardware']['cores']} cores, commit `{manifest['commit'][:10]}`. Gap "
            "recovered with its 95% interval.",
            "",
            *tables.glance(rows),
        ]
    )


def cost(result: dict[str, Any]) -> str:
    """What answering costs at the longest document, and the ratios at every length."""
    manifest = result["manifest"]
    longest = max(row["tokens"] for row in result["rows"])
    lines = []
    for row in result["rows"]:
        if row["tokens"] != longest:
            continue
        fit, even = row["documents_in_8_gb"], row["break_even_questions"]
        lines.append(
            [
                row["method"].replace("_", " "),
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
    header = ["method", "prepare, once", "stored", "load", "warm TTFT", "tokens/s"]
    header += ["memory to answer", "documents in 8 GB", "break-even"]
    names = {
        "compress_over_prefill": "compressing / reading the document plainly",
        "compress_peak_over_prefill": "its peak memory / that of reading",
        "warm_with_load_over_none": "first token, gists loaded from disk / no document at all",
        "warm_over_rag": "first token / RAG top-3",
        "warm_over_full": "first token / full context",
        "kv_over_full": "keys and values / full context",
    }
    ratios = [
        [name, *(f"{row[key]:.2g}" for row in result["ratios"])] for key, name in names.items()
    ]
    batch = result["batch"]
    return "\n".join(
        [
            f"Documents of {longest:,} tokens, the bundled model's shape, "
            f"{manifest['config']['dtype']}, {manifest['hardware']['cpu'] or 'CPU'}, "
            f"{manifest['hardware']['cores']} cores, commit `{manifest['commit'][:10]}` "
            "(`dnsity bench`):",
            "",
            *table(header, lines),
            "",
            *table(
                [
                    f"{result['gists']} gists, as a multiple of the other",
                    *(f"{row['tokens']:,} tokens" for row in result["ratios"]),
                ],
                ratios,
            ),
            "",
            f"{batch['documents']} different documents answered in one batch: "
            f"{batch['gist_tokens_per_second']:,.0f} tokens a second, as many plain prompts "
            f"{batch['none_tokens_per_second']:,.0f}. One of {result['store']['files']:,} gist "
            f"files is opened and verified in {duration(result['store']['open_s']['median'])}.",
        ]
    )


def demo(report: dict[str, Any]) -> str:
    """What `make demo` prints, as a table."""
    lines: list[str] = []
    for document in report["documents"]:
        lines += [
            f"**{document['document']}**: {document['context_tokens']:,} tokens -> "
            f"{document['gist_tokens']} gists ({document['compression_ratio']:.0f}x), keys and "
            f"values {document['full_kv_bytes'] / 1e6:.1f} MB -> "
            f"{document['gist_kv_bytes'] / 1e3:.0f} kB, "
            f"compressed in {document['compress_s']:.2f} s",
            "",
            "| question | gist | full context | RAG top-3 | no context |",
            "|---|---|---|---|---|",
        ]
        for question in document["questions"]:
            cells = []
            for name in ("gist", "full", "rag", "none"):
                answer = question["methods"][name]
                shown = answer["answer"].replace("\n", " ").replace("|", "/")[:24] or "(nothing)"
                mark = "right" if answer["right"] else "wrong"
                cells.append(f"{mark}: {shown} ({1000 * answer['ttft_s']:.0f} ms)")
            lines.append(f"| {question['question']} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def training(bench: dict[str, Any], run: dict[str, Any]) -> str:
    """What a run of ten minutes learns, and what a step costs beside its alternatives."""
    result, probe = run["result"], run["result"]["probe"]
    gists, cores = run["manifest"]["config"]["gist"]["gists"], run["manifest"]["hardware"]["cores"]
    manifest = bench["manifest"]
    names = {
        "two_pass": "two passes: each document compressed once",
        "masked": "one masked sequence",
        "one_question": "one masked sequence per question",
        "plain": "language modelling of the document alone",
    }
    lines = [
        [
            names[row["step"]],
            f"{row['tokens']:,}",
            f"{row['seconds']:.2f}",
            "-" if row["questions_per_second"] is None else f"{row['questions_per_second']:.2f}",
            data_size(row["peak_bytes"]),
        ]
        for row in bench["training"]
    ]
    asked = max(row["questions"] for row in bench["training"])
    return "\n".join(
        [
            f"`{Path(run['config']).name}` in {result['seconds'] / 60:.0f} minutes on {cores} "
            f"cores: of passkeys in {probe['documents']} held-out documents of "
            f"{min(probe['tokens'])} and {max(probe['tokens']):,} tokens {probe['gist']:.0%} are "
            f"right from {gists} gists, {probe['full']:.0%} from full context, "
            f"{probe['none']:.0%} from nothing (the base answers untouched).",
            "",
            f"A training step on one document with {asked} questions: the bundled model's shape, "
            f"{manifest['config']['dtype']}, everything trained, "
            f"{manifest['hardware']['cpu'] or 'CPU'}, {manifest['hardware']['cores']} cores, "
            f"commit `{manifest['commit'][:10]}` (`dnsity bench`).",
            "",
            *table(["step", "document, tokens", "seconds", "questions/s", "peak memory"], lines),
        ]
    )


def render(readme: str) -> str:
    """Return the README with every generated part made anew."""
    parts = {
        "demo": demo(_result("demo")),
        "cost": cost(_result("bench_cost_mini")),
        "evaluation": evaluation(_result("eval_mini")),
        "training": training(_result("bench_cost_mini"), _result("gist_25")),
    }
    for name, text in parts.items():
        marks = f"<!-- generated: {name} -->", f"<!-- end: {name} -->"
        pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
        readme = pattern.sub(lambda _, m=marks, t=text: f"{m[0]}\n{t}\n{m[1]}", readme)
    return readme


def _result(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((ROOT / "results" / f"{name}.json").read_text("utf-8"))
    return loaded


def main() -> int:
    """Write, or with --check only compare."""
    path = ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    new = render(old)
    if "--check" in sys.argv[1:]:
        return 0 if new == old else 1
    path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
