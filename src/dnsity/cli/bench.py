"""`dnsity bench`: costs of every method, on the shape of the bundled model or of a real base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from dnsity.cli.console import err, out, progress_bar, show_json
from dnsity.cli.options import Device, Json, Overrides, positive
from dnsity.io.units import data_size, duration

if TYPE_CHECKING:
    from dnsity.bench.config import BenchConfig

Shape = Annotated[
    str,
    typer.Option(
        help="Model shape: mini, qwen3-0.6b, qwen3-4b, llama-3.2-1b, llama-3.1-8b or the DIRECTORY "
        "of a base (only its config.json is read; weights are random)."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="JSON file for the results; a picture is written next to it.",
        dir_okay=False,
    ),
]
VramLimit = Annotated[
    float | None,
    typer.Option("--vram", callback=positive, help="Limit of GPU memory in GB (default: none)."),
]


def command(
    shape: Shape = "mini",
    overrides: Overrides = None,
    output: Output = None,
    device: Device = "cpu",
    vram: VramLimit = None,
    json: Json = False,
) -> None:
    """Measure time and memory of answering.

    Compares gists with full context, its stored cache and retrieval.

    Example: dnsity bench --shape qwen3-0.6b --set tokens=[2048] --set repeats=3
    """
    from dnsity.bench.config import BenchConfig
    from dnsity.config import configured
    from dnsity.inference.hardware import require_device
    from dnsity.io.atomic import write_json

    config = configured(BenchConfig, {"shape": shape}, overrides or [], "bench")
    require_device(device)
    if vram is not None and device.startswith("cuda"):
        _limit_memory(device, vram)
    kept = None if output is None else output.with_suffix(".part.json")
    result = _measure(config, device, kept)
    if output is not None and kept is not None:
        write_json(output, result)
        kept.unlink(missing_ok=True)
        _plot(result, output)
    if json:
        show_json(result)
    else:
        _print(result)


def _limit_memory(device: str, gigabytes: float) -> None:
    """Limit the GPU memory that this process may allocate."""
    import torch

    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, gigabytes * 1e9 / total), device)


def _measure(config: BenchConfig, device: str, kept: Path | None) -> dict[str, Any]:
    """Run the benchmark; `kept` is the file of finished parts, from which a later run resumes."""
    import torch

    from dnsity.bench.cost import measure
    from dnsity.bench.cost import ratios as ratios_of
    from dnsity.bench.shapes import build, measures, name_of
    from dnsity.inference.hardware import device_name
    from dnsity.io.atomic import write_json
    from dnsity.io.provenance import manifest

    source = config.shape
    config = config.model_copy(update={"shape": name_of(source)})  # results contain no paths
    described = manifest(config, seed=0) | {"device": device_name(device)} | measures(source)
    parts = {} if kept is None else _measured_before(kept, described)

    def keep(found: Mapping[str, Any]) -> None:
        if kept is not None:
            write_json(kept, {"manifest": described, "parts": found})

    with progress_bar(f"building {config.shape}") as progress:
        loaded = build(
            source,
            gists=max(config.gists),
            device=device,
            dtype=getattr(torch, config.dtype),
            quantization=config.quantization,
        )
        measured = measure(
            config,
            loaded,
            lambda what, done, total: progress(done, total, what),
            parts,
            keep,
        )
    return {
        "manifest": described,
        **measured,
        "gists": config.middle,
        "ratios": ratios_of(measured, config.middle),
    }


def _print(result: dict[str, Any]) -> None:
    """Print the results as tables."""
    shape, rows = result["manifest"]["config"]["shape"], result["rows"]
    out.print(_table(f"{shape}, random weights: time", rows, _TIMES))
    out.print(_table("memory: stored, and peaks of ingesting and answering", rows, _SIZES))
    out.print(ratios(result))
    if result["training"]:
        out.print(_training(result["training"]))


def _measured_before(path: Path, described: dict[str, Any]) -> dict[str, Any]:
    """Return the finished parts of an interrupted run with the same code and configuration.

    A repository that was clean may have become dirty: the file itself can be in it.
    """
    try:
        kept = loads(path.read_text("utf-8"))
        before, parts = dict(kept["manifest"]), dict(kept["parts"])
        same = bool(before.pop("dirty")) <= described["dirty"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    now = {name: value for name, value in described.items() if name != "dirty"}
    if not same or before | {"date": None} != now | {"date": None}:
        return {}
    err.print(f"measured before: {', '.join(parts)}", soft_wrap=True)
    return parts


def _plot(result: dict[str, Any], output: Path) -> None:
    """Write a picture next to the results if matplotlib is installed."""
    if find_spec("matplotlib") is None:
        err.print("no picture: matplotlib is not installed; pip install dnsity\\[eval]")
        return
    from dnsity.bench.plots import costs
    from dnsity.evaluation.figures import save

    save(costs(result), output.with_suffix(""))


_Columns = dict[str, Callable[[dict[str, Any]], str]]
_TIMES: _Columns = {
    "ingest": lambda row: duration(row["ingest_s"]),
    "load": lambda row: "" if row["load_s"] is None else duration(row["load_s"]),
    "warm TTFT": lambda row: duration(row["warm_ttft_s"]["median"]),
    "p95": lambda row: duration(row["warm_ttft_s"]["p95"]),
    "tok/s": lambda row: f"{row['tokens_per_second'] or 0:.0f}",
}
_SIZES: _Columns = {
    "slots": lambda row: f"{row['slots']:,}",
    "stored": lambda row: data_size(row["stored_bytes"]),
    "in 8 GB": lambda row: f"{row['documents_in_8_gb']:,}" if row["documents_in_8_gb"] else "",
    "ingest": lambda row: data_size(row["ingest_peak_bytes"]),
    "answer": lambda row: data_size(row["answer_peak_bytes"]),
}


def _table(title: str, rows: list[dict[str, Any]], columns: _Columns) -> Table:
    table = Table(title=title)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column("method")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    shown = 0
    for row in rows:
        if shown and row["tokens"] != shown:
            table.add_section()
        first = "" if row["tokens"] == shown else f"{row['tokens']:,}"
        method = row["method"].replace("_", " ")
        table.add_row(first, method, *(write(row) for write in columns.values()))
        shown = row["tokens"]
    return table


def ratios(result: dict[str, Any]) -> Table:
    """Return the ratios of this run as a table, next to their goals."""
    goals = {
        "compress_over_prefill": ("compress / plain prefill", "1.0"),
        "compress_peak_over_prefill": ("its peak memory / prefill's", "1.05"),
        "warm_over_none": ("warm TTFT / no context", "1.15"),
        "warm_with_load_over_none": ("the same, with loading", "1.3"),
        "warm_over_rag": ("warm TTFT / RAG", "0.25 at 8k"),
        "warm_over_full": ("warm TTFT / full context", "0.05 at 8k"),
        "kv_over_full": ("KV cache / full context", "1/328 at 8k"),
    }
    table = Table(title=f"{result['gists']} gists")
    table.add_column("ratio")
    for row in result["ratios"]:
        table.add_column(f"{row['tokens']:,}", justify="right")
    table.add_column("goal, at most", justify="right")
    for key, (name, goal) in goals.items():
        table.add_row(name, *(f"{row[key]:.3g}" for row in result["ratios"]), goal)
    for doing, peak, most in (("compressing", "ingest", 10), ("answering", "answer", 8)):
        taken = _total_bytes(result, f"{peak}_peak_bytes")
        table.add_row(f"total memory, {doing}", *map(data_size, taken), f"{most} GB (8B, nf4)")
    store = result["store"]["open_s"]["median"]
    rest = [""] * (len(result["ratios"]) - 1)
    table.add_row(
        f"opening one of {result['store']['files']:,} files", duration(store), *rest, "50 ms"
    )
    batch = result["batch"]
    table.add_row(
        f"tokens/s, {batch['documents']} rows: none / gist",
        f"{batch['none_tokens_per_second'] / batch['gist_tokens_per_second']:.3g}",
        *rest,
        "1.1",
    )
    return table


def _total_bytes(result: dict[str, Any], peak: str) -> list[int]:
    """Return the memory of model and gists together, at every length."""
    name = f"gist {result['gists']}"
    return [result["weights_bytes"] + r[peak] for r in result["rows"] if r["method"] == name]


def _training(rows: list[dict[str, Any]]) -> Table:
    """Return the costs of training steps as a table."""
    table = Table(title="a training step: one document, its questions")
    for name in ("tokens", "step"):
        table.add_column(name, no_wrap=True)
    for name in ("seconds", "questions/s", "tokens/s", "peak memory"):
        table.add_column(name, justify="right")
    for row in rows:
        rate = row["questions_per_second"]
        named = f"{row['tokens']:,}", row["step"].replace("_", " ")
        if row["seconds"] is None:
            table.add_row(*named, "out of memory")
            continue
        table.add_row(
            *named,
            f"{row['seconds']:.3g}",
            "" if rate is None else f"{rate:.3g}",
            f"{row['tokens_per_second']:,.0f}",
            data_size(row["peak_bytes"]),
        )
    return table
