"""Planned, target and measured values, including the targets that are missed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dnsity.evaluation.row import Interval, Row

_NEEDLES = ("niah", "fact")


def targets(
    mini: list[Row], far: list[Row], documents: list[Row], bench: dict[str, Any]
) -> list[list[str]]:
    """Return one line per target: name, plan, target, measured value (English / Korean).

    Args:
        mini: Rows of `eval_mini`.
        far: Rows of `eval_far`, which has more documents of the longest length.
        documents: Rows of `eval_documents`.
        bench: The result of `dnsity bench --shape mini`.
    """
    asked = _of_gists([*mini, *far])
    whole = _of_gists(documents)
    longest = max(bench["ratios"], key=lambda row: int(row["tokens"]))
    wrong = max(
        row.score.value
        for row in (*mini, *far)
        if row.method == "gist_wrong_document" and row.task.startswith(_NEEDLES)
    )

    def score(task: str, tokens: int | None = None) -> str:
        return _both(asked, task, lambda row: _percent(_score(row, tokens)))

    def understood(part: str) -> str:
        return _both(whole, "understanding_{}", lambda row: _share(getattr(row, part)))

    return [
        ["document tokens per gist", "100-400", "320", f"{1 / longest['kv_over_full']:.0f}"],
        ["one passkey in prose, 512 to 8,192 tokens", "70%", "99%", score("niah_{}")],
        ["the same, worst length", "-", "99%", _both(asked, "niah_{}", _worst)],
        ["the same in unseen wording, 2,048 tokens", "-", "-", score("niah_{}_unseen_2048")],
        ["one passkey in four windows, 32,768 tokens", "-", "95%", score("niah_{}_32768")],
        ["a fact in unseen wording, 2,048 tokens", "-", "90%", score("fact_{}_unseen", 2048)],
        ["a fact in unseen wording, 8,192 tokens", "-", "80%", score("fact_{}_unseen", 8192)],
        ["four codes with similar owners, 2,048 tokens", "-", "95%", score("niah4_{}", 2048)],
        ["four codes with similar owners, 8,192 tokens", "-", "90%", score("niah4_{}", 8192)],
        ["eight codes with similar owners, 2,048 tokens", "-", "80%", score("niah8_{}_2048")],
        ["needles, gists of another document", "-", "0%", _percent(wrong)],
        ["articles: score / score of full context", "80%", "90%", understood("share_of_full")],
        ["articles: gap recovered", "-", "80%", understood("gap_recovered")],
        ["TTFT / TTFT of RAG top-3", "0.5", "0.25", f"{longest['warm_over_rag']:.2g}"],
        ["TTFT / TTFT of full context", "-", "0.05", f"{longest['warm_over_full']:.2g}"],
        [
            "compression time / prefill time",
            "-",
            "1",
            f"{longest['compress_over_prefill']:.2g}",
        ],
        ["memory of an 8B model on a GPU", "10 GB", "8 GB", "not measured"],
    ]


def _of_gists(rows: list[Row]) -> dict[str, Row]:
    return {row.task: row for row in rows if row.method == "gist"}


def _both(rows: dict[str, Row], task: str, read: Callable[[Row], str]) -> str:
    return " / ".join(read(rows[task.format(language)]) for language in ("en", "ko"))


def _score(row: Row, tokens: int | None) -> float:
    return row.score.value if tokens is None else row.by["tokens"][str(tokens)].score


def _worst(row: Row) -> str:
    return _percent(min(share.score for share in row.by["tokens"].values()))


def _share(found: Interval | None) -> str:
    """Format a share; it is undefined where full context adds nothing."""
    return "-" if found is None else _percent(found.value)


def _percent(share: float) -> str:
    return f"{share:.0%}"
