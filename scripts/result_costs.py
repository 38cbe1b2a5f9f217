"""The generated tables of costs: answering, shapes of real models, training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from result_words import Words, provenance

from dnsity.evaluation.markdown import table
from dnsity.io.units import data_size, duration

COLUMNS = {
    "prepare (once)": lambda row: duration(row["ingest_s"]),
    "stored": lambda row: data_size(row["stored_bytes"]),
    "load": lambda row: _optional(row["load_s"], duration),
    "warm TTFT": lambda row: duration(row["warm_ttft_s"]["median"]),
    "tokens/s": lambda row: f"{row['tokens_per_second'] or 0:.0f}",
    "memory to answer": lambda row: data_size(row["answer_peak_bytes"]),
    "documents in 8 GB": lambda row: _optional(row["documents_in_8_gb"], "{:,}".format),
    "break-even": lambda row: _optional(row["break_even_questions"], str),
}
"""Columns of the tables of what answering costs."""
ONLY_IN_THE_GUIDE = ("load", "documents in 8 GB")
"""Columns that the table of the README leaves out."""
METHODS = {
    "none": "no context",
    "full": "full context",
    "stored full kv": "stored full KV",
    "rag": "RAG top-3",
    "gist 25": "25 gists",
}
"""Methods in the table of the README, and their names there."""
RATIOS = {
    "compress_over_prefill": "compression time / prefill time",
    "compress_peak_over_prefill": "its peak memory / peak memory of prefill",
    "warm_with_load_over_none": "TTFT, gists loaded from disk / TTFT without a document",
    "warm_over_rag": "TTFT / TTFT of RAG top-3",
    "warm_over_full": "TTFT / TTFT of full context",
    "kv_over_full": "KV cache / KV cache of full context",
}


def cost(words: Words, result: dict[str, Any]) -> str:
    """Write what answering costs at the longest document, for the README."""
    longest, found = _longest(result)
    rows = {row["method"].replace("_", " "): row for row in found}
    columns = [name for name in COLUMNS if name not in ONLY_IN_THE_GUIDE]
    lines = [[words.cell(name), *_cells(rows[key], columns)] for key, name in METHODS.items()]
    told = words.say("costs", tokens=longest, **provenance(result))
    return "\n".join([told, "", *table([*map(words.cell, ("method", *columns))], lines)])


def _longest(result: dict[str, Any]) -> tuple[int, list[dict[str, Any]]]:
    """Return the tokens of the longest document, and its rows."""
    longest = max(row["tokens"] for row in result["rows"])
    return longest, [row for row in result["rows"] if row["tokens"] == longest]


def _cells(row: dict[str, Any], columns: Iterable[str]) -> list[str]:
    return [COLUMNS[name](row) for name in columns]


def _optional(value: Any, write: Callable[[Any], str]) -> str:
    return "-" if value is None else write(value)


def bench(words: Words, result: dict[str, Any]) -> str:
    """Write what answering costs at the longest document, and the ratios at every length."""
    longest, rows = _longest(result)
    lines = [[words.cell(row["method"].replace("_", " ")), *_cells(row, COLUMNS)] for row in rows]
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
            words.say("cost", tokens=longest, **provenance(result)),
            "",
            *table([*map(words.cell, ("method", *COLUMNS))], lines),
            "",
            *table(
                [words.say("multiple", gists=result["gists"]), *lengths],
                _ratios(words, result["ratios"]),
            ),
            "",
            told,
        ]
    )


def shapes(words: Words, results: list[dict[str, Any]]) -> str:
    """Write the same ratios on models of real shapes, each at its longest document."""
    columns = [max(result["ratios"], key=lambda row: row["tokens"]) for result in results]
    header = [words.say("multiple", gists=results[-1]["gists"])]
    for result, column in zip(results, columns, strict=True):
        config = result["manifest"]["config"]
        kind = config["quantization"] or config["dtype"]
        header.append(f"{config['shape']}, {kind}, {column['tokens']:,}")
    told = words.say("shapes", **provenance(results[-1]))
    return "\n".join([told, "", *table(header, _ratios(words, columns))])


def training(words: Words, costs: dict[str, Any], run: dict[str, Any]) -> str:
    """Write the result of a short training run, and the cost of a step by each training path."""
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
    step = words.say("step", asked=asked, **provenance(costs))
    header = ["step", "document tokens", "seconds", "questions/s", "peak memory"]
    return "\n".join([learned, "", step, "", *table([*map(words.cell, header)], lines)])


def card(words: Words, result: dict[str, Any]) -> str:
    """Write the estimated memory and time of training on one card."""
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


def _ratios(words: Words, columns: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [words.cell(name), *(_ratio(column[key]) for column in columns)]
        for key, name in RATIOS.items()
    ]


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
