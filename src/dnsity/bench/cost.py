"""Costs of every method on one model shape; the methods of one length are timed in turns.

    prefill   forward pass over the document, cache kept, no logits: the reference of compressing
    ingest    work of a method before it knows the question
    warm      time to first token after ingesting; with and without loading from disk
    decode    tokens per second after the first, one document at a time and 32 in one batch
    peak      additional memory of ingesting and of answering
    training  see `bench/training.py`; last, because it changes the weights

Seconds are medians. Weights are random, see `shapes`.
"""

from __future__ import annotations

import random
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from dnsity.bench.config import BenchConfig
from dnsity.bench.training import measure_training
from dnsity.bench.turns import in_turns
from dnsity.data.generators.niah import Filler
from dnsity.evaluation.method import Context, Ingested, Method, MethodSettings, Reply
from dnsity.evaluation.methods import build
from dnsity.evaluation.runner import Progress
from dnsity.evaluation.summary import break_even
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.gist_cache import GistCache
from dnsity.inference.loaded import LoadedModel
from dnsity.model.key_values import stacked
from dnsity.shapes import KeyValues

QUESTION = "What is the passkey for the visitors' network?"
BASELINES = ("none", "full", "stored_full_kv", "rag")
_FREE_BYTES = 8_000_000_000
_OPENED = 50
_BATCHED_TOKENS = 256
"""Tokens of each document in the batch; the cost of decoding does not depend on them."""
_SLOW_ROUNDS, _FAST_ROUNDS, _LIMIT_S = 4, 20, 4.0
"""Rounds of functions that take a second or milliseconds, and the time limit of all rounds."""


def measure(
    config: BenchConfig,
    loaded: LoadedModel,
    progress: Progress = lambda what, done, total: None,
    parts: dict[str, Any] | None = None,
    keep: Callable[[Mapping[str, Any]], None] = lambda parts: None,
) -> dict[str, Any]:
    """Measure every method at every length.

    Args:
        config: What to measure.
        loaded: A model of the shape, see `shapes.build`.
        progress: Called before every part.
        parts: Results of an earlier call with the same configuration; they are not measured again.
        keep: Called after every part, with all parts so far.

    Returns:
        `weights_bytes`; `rows`, one per length and method; `batch`, the speed of decoding many
        documents in one batch; `store`, the time to open one of many gist files; and `training`,
        one per length and kind of step.
    """
    weights = _weights_bytes(loaded)  # before the other measurements take memory
    lengths = {f"{tokens:,} tokens": tokens for tokens in config.tokens}
    store, batch = f"{config.stored:,} gist files", f"batch of {config.batch}"
    training = "training steps"
    work: dict[str, Callable[[], Any]] = {
        **{name: partial(_rows, config, loaded, tokens) for name, tokens in lengths.items()},
        store: partial(_store, config, loaded),
        batch: partial(_batched, config, loaded),
        training: partial(measure_training, config, loaded),  # last: it changes the weights
    }
    found = dict(parts or {})
    for number, (name, do) in enumerate(work.items()):
        progress(name, number, len(work))
        if name not in found:
            found[name] = do()
            keep(found)
    return {
        "weights_bytes": weights,
        "rows": [row for name in lengths for row in found[name]],
        "batch": found[batch],
        "store": found[store],
        "training": found[training],
    }


def _weights_bytes(loaded: LoadedModel) -> int:
    """Return the memory of the weights; on a GPU all memory in use, because nf4 has scales."""
    if loaded.device.type == "cuda":
        return int(torch.cuda.memory_allocated(loaded.device))
    return sum(tensor.nbytes for tensor in loaded.lm.parameters())


def document(loaded: LoadedModel, tokens: int) -> str:
    """Return a text of exactly this many tokens; no two paragraphs are equal."""
    line = Filler("en").line
    parts = (f"{line} This is paragraph {number}.\n\n" for number in count())
    text = ""
    while (cut := loaded.encoder.cut(text, tokens)) is None:
        text += "".join(next(parts) for _ in range(64))
    return cut


def _rows(config: BenchConfig, loaded: LoadedModel, tokens: int) -> list[dict[str, Any]]:
    """Measure all methods at one length."""
    with tempfile.TemporaryDirectory(prefix="dnsity-bench-") as scratch:
        return list(_Length(config, loaded, tokens, Path(scratch)).rows())


class _Length:
    """The methods at one length of document."""

    def __init__(
        self, config: BenchConfig, loaded: LoadedModel, tokens: int, scratch: Path
    ) -> None:
        self.config, self.loaded, self.tokens, self.scratch = config, loaded, tokens, scratch
        self.text = document(loaded, tokens)
        # Rebuilt for every use: a method caches the text that it has processed.
        self.methods: dict[str, Callable[[], Method]] = {
            name: partial(build, name, loaded) for name in BASELINES
        }
        for number in config.gists:
            settings = MethodSettings(gists=number)
            self.methods[f"gist {number}"] = partial(build, "gist", loaded, settings)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Measure all methods: ingesting in turns with plain prefill, then answering in turns."""
        work: dict[str, Callable[[], Any]] = {"prefill": self._prefill}
        work.update({name: partial(self._ingest, name) for name in self.methods})
        ingest, peaks, held = in_turns(self.loaded, work, self.config.repeats)
        files = {name: self._store(name, held[name]) for name in self.methods}
        asking = {name: partial(self._answer, name, held[name], 1) for name in self.methods}
        warm, answer_peaks, _ = in_turns(self.loaded, asking, self.config.repeats)
        del asking["full"]  # milliseconds vary more than seconds, and more rounds cost little
        for name, seconds in in_turns(self.loaded, asking, _FAST_ROUNDS, _LIMIT_S).seconds.items():
            warm[name] += seconds
        on_disk = {name: load for name, (_, load) in files.items() if load is not None}
        loads = in_turns(self.loaded, on_disk, _FAST_ROUNDS, _LIMIT_S).seconds
        prefill = statistics.median(ingest["prefill"])
        full = statistics.median(warm["full"])
        for name in self.methods:
            reply = self._answer(name, held[name], self.config.new_tokens)
            taken, ready = statistics.median(ingest[name]), statistics.median(warm[name])
            yield {
                "method": name,
                "tokens": self.tokens,
                "slots": reply.slots,
                "kv_bytes": reply.kv_bytes,
                "stored_bytes": files[name][0],
                "ingest_s": taken,
                "ingest_over_prefill": taken / prefill,
                "load_s": statistics.median(loads[name]) if name in loads else None,
                "cold_ttft_s": taken + ready,
                "warm_ttft_s": _spread(warm[name]),
                "tokens_per_second": (reply.new_tokens - 1) / (reply.seconds - reply.ttft_s)
                if reply.new_tokens > 1
                else None,
                "ingest_peak_bytes": peaks[name],
                "prefill_peak_bytes": peaks["prefill"],
                "answer_peak_bytes": answer_peaks[name],
                "documents_in_8_gb": _FREE_BYTES // reply.kv_bytes if reply.kv_bytes else None,
                "break_even_questions": break_even(taken, ready, full),
            }

    def _ingest(self, name: str) -> Ingested:
        return self.methods[name]().ingest(self.text)

    def _answer(self, name: str, held: Ingested, new_tokens: int) -> Reply:
        sampling = Sampling(max_new_tokens=new_tokens)
        return self.methods[name]().answer(held, [QUESTION], sampling)[0]

    @torch.inference_mode()
    def _prefill(self) -> None:
        """Prefill the document as usual: whole layers, a growing cache, no logits."""
        ids = self.loaded.frame.head + self.loaded.frame.document(self.text)
        decoder = self.loaded.lm.base.get_decoder()
        decoder(input_ids=torch.tensor([ids], device=self.loaded.device), use_cache=True)

    def _store(self, name: str, held: Ingested) -> tuple[int, Callable[[], Any] | None]:
        """Write the KV cache of a method; return its size and a function that loads it.

        For methods that store text, return the size of the text.
        """
        handle = held.handle
        if isinstance(handle, GistCache):
            path = handle.save(self.scratch / f"{name}-{self.tokens}.gist.safetensors")
            return path.stat().st_size, partial(_ready, self.loaded, path)
        if isinstance(handle, Context) and handle.layers is not None:
            path = self.scratch / f"{name}-{self.tokens}.safetensors"
            save_file(_named(handle.layers), path)
            return path.stat().st_size, lambda: load_file(path, device=str(self.loaded.device))
        return 0 if name == "none" else len(self.text.encode()), None


def _store(config: BenchConfig, loaded: LoadedModel) -> dict[str, Any]:
    """Time opening and verifying random gist files in a folder of many."""
    gists = min(config.gists)
    method = build("gist", loaded, MethodSettings(gists=gists))
    gist: GistCache = method.ingest(document(loaded, min(config.tokens))).handle
    rng, seconds = random.Random(0), []
    with tempfile.TemporaryDirectory(prefix="dnsity-bench-") as folder:
        files = [Path(folder) / f"{number}.gist.safetensors" for number in range(config.stored)]
        gist.save(files[0])
        for path in files[1:]:
            shutil.copyfile(files[0], path)
        for path in rng.choices(files, k=_OPENED):
            started = loaded.now()
            _ready(loaded, path)
            seconds.append(loaded.now() - started)
    return {
        "files": config.stored,
        "gists": gists,
        "open_s": _spread(seconds),
    }


def _ready(loaded: LoadedModel, path: Path) -> GistCache:
    """Open a gist file, check that it belongs to this model, and move it to the device."""
    gist = GistCache.load(path)
    loaded.require_own(gist)
    return gist.to(loaded.device, loaded.lm.base.dtype)


def _batched(config: BenchConfig, loaded: LoadedModel) -> dict[str, Any]:
    """Decode one batch after the gists of many documents, and one after no context."""
    gists = config.middle
    method = build("gist", loaded, MethodSettings(gists=gists))
    text = document(loaded, min(*config.tokens, _BATCHED_TOKENS))
    words = text.split(" ")
    documents = []
    for number in range(config.batch):  # different documents of about the same length
        random.Random(number).shuffle(words)
        documents.append(method.ingest(" ".join(words)).handle.layers)
    prefix, _ = stacked(documents)
    questions = [QUESTION] * config.batch
    long = Sampling(max_new_tokens=config.new_tokens)
    seconds, _, replies = in_turns(
        loaded,
        {
            "gist": lambda: answer(loaded, prefix, questions, long),
            "none": lambda: answer(loaded, None, questions, long),
        },
        _SLOW_ROUNDS,
        _LIMIT_S,
    )
    found: dict[str, Any] = {"documents": config.batch, "gists": gists}
    for name, given in replies.items():
        steps = max(reply.new_tokens for reply in given)
        found[f"{name}_tokens_per_second"] = steps * config.batch / statistics.median(seconds[name])
    return found


def _spread(seconds: Sequence[float]) -> dict[str, float]:
    return {
        "median": statistics.median(seconds),
        "p95": float(np.percentile(seconds, 95)),
    }


def _named(layers: KeyValues) -> dict[str, torch.Tensor]:
    return {
        f"{kind}.{number}": tensor.contiguous()
        for number, pair in enumerate(layers)
        for kind, tensor in zip("kv", pair, strict=True)
    }


def ratios(measured: Mapping[str, Any], gists: int) -> list[dict[str, Any]]:
    """Return the costs of gists relative to those of the other methods, at every length.

    Args:
        measured: What `measure` returned.
        gists: The gist count to compare.

    Returns:
        Per length: `compress_over_prefill`, `compress_peak_over_prefill`, and warm time to first
        token as a share of no context's (`_with_load`: loading counted), RAG's and full context's.
    """
    rows: Sequence[Mapping[str, Any]] = measured["rows"]
    found = []
    for tokens in dict.fromkeys(row["tokens"] for row in rows):
        at = {row["method"]: row for row in rows if row["tokens"] == tokens}
        gist = at[f"gist {gists}"]
        warm = {name: row["warm_ttft_s"]["median"] for name, row in at.items()}
        own = warm[f"gist {gists}"]
        found.append(
            {
                "tokens": tokens,
                "compress_over_prefill": gist["ingest_over_prefill"],
                "compress_peak_over_prefill": gist["ingest_peak_bytes"]
                / max(1, gist["prefill_peak_bytes"]),
                "warm_over_none": own / warm["none"],
                "warm_with_load_over_none": (own + gist["load_s"]) / warm["none"],
                "warm_over_rag": own / warm["rag"],
                "warm_over_full": own / warm["full"],
                "kv_over_full": gist["kv_bytes"] / at["full"]["kv_bytes"],
            }
        )
    return found
