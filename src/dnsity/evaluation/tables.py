"""The tables of a report, as Markdown."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence

from dnsity.evaluation.finished_runs import Entry, Run
from dnsity.evaluation.markdown import cell, table
from dnsity.evaluation.methods import class_of, heading, ordered
from dnsity.evaluation.row import Cost, Interval, Row, Spread
from dnsity.io.units import data_size, duration, number, percent

NOTHING = "-"
LEGEND = """\
All methods answer the same questions with the same model. They differ in the prefix that the model
is conditioned on. A *slot* is one position of the model's key/value (KV) cache: plain text takes
one per token, gists take a few for a whole document. `[low, high]` are 95% intervals (bootstrap
over documents). `-` means not applicable.

Quality:

- **score**: mean over questions; 100% means that all answers are right.
- **gap recovered**: position of the score between no context (0%) and full context (100%).
- **of full**: the score relative to that of full context.
- **gist minus this**: the lead of gists in percentage points. **p**: the p-value of this difference
  (two-sided permutation test).
- **failed**: documents on which the method failed; their questions count as wrong. **noted**:
  documents with a remark, for example that text was left out; see the notes.

Cost, medians over documents or questions:

- **context**: tokens of the document. **slots**: slots of the KV cache before the question.
- **ratio**: compression ratio, context tokens per slot. **characters/slot**: the same in
  characters, for comparison across tokenizers and languages.
- **KV**: bytes of these slots. **documents/GB**: number of documents per 10^9 bytes.
- **peak memory**: peak memory above model weights and all else in use before.
- **ingest**: time to prepare a document, once, before any question.
- **cold TTFT**: time to first token, including ingestion. **warm TTFT**: the same for an ingested
  document, with the 10th and 90th percentile.
- **tokens/s**: decoding speed after the first token.
- **break-even**: number of questions per document from which the method is faster than processing
  the whole document for each question.

Plots: score against compression shows methods of similar ratio next to each other, with vertical
lines for the 95% intervals. Needle plots show the score in percent by document length and needle
depth (0% is the start of the document)."""

_Columns = dict[str, Callable[[Cost], str]]


def overview(runs: Sequence[Run]) -> list[str]:
    """Tabulate the provenance of runs, one column per run."""
    facts: dict[str, list[str]] = {}
    for run in runs:
        manifest = run.manifest
        hardware = dict(manifest.hardware)
        cores = hardware.pop("cores", None)
        machine = [str(value) for value in hardware.values() if value]
        versions = {"python": manifest.python, **manifest.versions}
        lines = {
            "commit": _commit(run),
            "models": ", ".join(dict.fromkeys(row.model for row in run.rows)),
            "hardware": ", ".join([*machine, *([f"{cores} cores"] if cores else [])]),
            "computed in": manifest.config.dtype,
            "documents per task, at most": str(manifest.config.limit),
            "seed": str(manifest.seed),
            **versions,
        }
        for name, value in lines.items():
            facts.setdefault(name, []).append(value or "unknown")
    return table(["", *(run.name for run in runs)], [[name, *facts[name]] for name in facts])


def methods(names: Iterable[str]) -> list[str]:
    """List the methods, each with the first line of its documentation."""
    lines = []
    for name in names:
        about = inspect.getdoc(class_of(name)) or NOTHING  # python -OO strips docstrings
        lines.append(f"- **{heading(name)}** (`{name}`): {about.splitlines()[0]}")
    return lines


def glance(rows: Sequence[Row]) -> list[str]:
    """Tabulate scores, one row per task, with the gap that the gist recovers.

    Stored full context is left out, since its answers equal those of full context.
    """
    by_task: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_task.setdefault(row.task, {})[row.method] = row
    names = [name for name in ordered(row.method for row in rows) if name != "stored_full_kv"]
    lines = []
    for task, own in by_task.items():
        first = next(iter(own.values()))
        scores = (NOTHING if n not in own else percent(own[n].score.value, 0) for n in names)
        guess = NOTHING if first.random_guess is None else percent(first.random_guess, 0)
        gist = own.get("gist")
        gap = NOTHING if gist is None else _interval(gist.gap_recovered)
        lines.append([task, first.metric, *scores, guess, gap])
    header = ["task", "metric", *map(heading, names), "random guess", "gap recovered by the gist"]
    return table(header, lines)


def comparison(entries: Sequence[Entry], task: str) -> list[str]:
    """Compare entries: score, interval and compression ratio of every method."""
    found = [{row.method: row for row in entry.of(task)} for entry in entries]
    names = ordered(name for own in found for name in own)
    lines = [[heading(name), *(_compared(own.get(name)) for own in found)] for name in names]
    return table(["score at ratio", *(entry.label for entry in entries)], lines)


def quality(rows: Sequence[Row]) -> list[str]:
    """Tabulate scores, also relative to the other methods."""
    header = ["method", "score", "gap recovered", "of full", "gist minus this", "p"]
    lines = []
    for row in rows:
        against = row.gist_minus_this
        lines.append(
            [
                heading(row.method),
                _interval(row.score),
                _interval(row.gap_recovered),
                NOTHING if row.share_of_full is None else percent(row.share_of_full.value),
                NOTHING if against is None else f"{100 * against.difference:+.1f}",
                NOTHING if against is None else f"{against.p:.3f}",
                f"{row.failed} of {row.documents}" if row.failed else "0",
                f"{row.noted} of {row.documents}" if row.noted else "0",
            ]
        )
    guess = rows[0].random_guess
    if guess is not None:
        lines.append(["random guess", percent(guess), *[NOTHING] * 6])
    return table([*header, "failed", "noted"], lines)


def sizes(rows: Sequence[Row]) -> list[str]:
    """Tabulate the size of the KV cache and the peak memory."""
    return _costs(
        rows,
        {
            "context": lambda cost: number(cost.context_tokens),
            "slots": lambda cost: number(cost.slots),
            "ratio": lambda cost: _maybe(cost.compression_ratio, "x"),
            "characters/slot": lambda cost: _maybe(cost.characters_per_slot),
            "KV": lambda cost: data_size(cost.kv_bytes),
            "documents/GB": lambda cost: _maybe(cost.documents_per_gb),
            "peak memory": lambda cost: data_size(cost.peak_bytes),
        },
    )


def times(rows: Sequence[Row]) -> list[str]:
    """Tabulate times."""
    full = next((row.cost for row in rows if row.method == "full"), None)

    def break_even(cost: Cost) -> str:
        if cost.break_even_questions is not None:
            return number(cost.break_even_questions)
        return NOTHING if full is None or cost is full else "never"

    return _costs(
        rows,
        {
            "ingest": lambda cost: duration(cost.ingest_s),
            "cold TTFT": lambda cost: duration(cost.cold_ttft_s.median),
            "warm TTFT": lambda cost: _spread(cost.warm_ttft_s),
            "tokens/s": lambda cost: _maybe(cost.tokens_per_second),
            "break-even": break_even,
        },
    )


def digits(rows: Sequence[Row]) -> list[str]:
    """Tabulate the share of right digits by position; empty if no answer is a number."""
    longest = max((len(row.digits) for row in rows if row.digits), default=0)
    lines = [
        [heading(row.method), *map(percent, row.digits), *[NOTHING] * (longest - len(row.digits))]
        for row in rows
        if row.digits
    ]
    header = ["digit", *(str(position) for position in range(1, longest + 1))]
    return table(header, lines) if lines else []


def breakdowns(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Tabulate scores by each label of documents or questions."""
    found = {}
    for label in dict.fromkeys(label for row in rows for label in row.by):
        asked: dict[str, int] = {}
        for row in rows:
            for value, share in row.by.get(label, {}).items():
                asked[value] = max(share.questions, asked.get(value, 0))
        values = sorted(asked, key=_in_order)
        lines = []
        for row in rows:
            shares = (row.by.get(label, {}).get(value) for value in values)
            cells = (NOTHING if share is None else percent(share.score) for share in shares)
            lines.append([heading(row.method), *cells])
        header = [f"{value} ({asked[value]})" for value in values]
        found[label] = table([label, *header], lines)
    return found


def notes(entry: Entry, task: str) -> list[str]:
    """List remarks and failures, with an example of each."""
    lines = []
    for row in entry.of(task):
        own = [one for one in entry.records if one.task == task and one.method == row.method]
        if row.noted:
            example = next(one.note for one in own if one.note)
            lines.append(
                f"- {heading(row.method)}: {row.noted} of {row.documents} documents noted, for "
                f'example "{cell(example)}"'
            )
        if row.failed:
            lines.append(
                f"- {heading(row.method)}: {row.failed} of {row.documents} documents failed and "
                f"count as wrong: {cell('; '.join(row.errors))}"
            )
    return lines


def _commit(run: Run) -> str:
    manifest = run.manifest
    states = [(manifest.commit, manifest.dirty)]
    states += [(str(again.get("commit")), bool(again.get("dirty"))) for again in manifest.resumed]
    return ", resumed at ".join(
        (commit[:10] or "none") + (" with uncommitted changes" if dirty else "")
        for commit, dirty in states
    )


def _compared(row: Row | None) -> str:
    if row is None:
        return NOTHING
    ratio = row.cost and row.cost.compression_ratio
    return _interval(row.score) + (f" at {number(ratio)}x" if ratio else "")


def _costs(rows: Sequence[Row], columns: _Columns) -> list[str]:
    lines = []
    for row in rows:
        cost = row.cost
        cells = [NOTHING if cost is None else write(cost) for write in columns.values()]
        lines.append([heading(row.method), *cells])
    return table(["method", *columns], lines)


def _interval(found: Interval | None) -> str:
    if found is None:
        return NOTHING
    return f"{percent(found.value)} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _spread(found: Spread) -> str:
    return f"{duration(found.median)} [{duration(found.p10)}, {duration(found.p90)}]"


def _maybe(value: float | None, unit: str = "") -> str:
    return NOTHING if value is None else number(value) + unit


def _in_order(value: str) -> tuple[bool, float, str]:
    """Return a sort key: numbers by value, before words."""
    try:
        return False, float(value), ""
    except ValueError:
        return True, 0.0, value
