"""Put a trained gist model into the package: `python scripts/bundle_mini.py DIR`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from dnsity.evaluation import tables
from dnsity.evaluation.row import Row

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "src" / "dnsity" / "model" / "assets" / "mini"
MAX_BYTES = 32 * 1000 * 1000


def card(summary: dict[str, Any] | None) -> str:
    """Say what the model is, what it was trained on and what it measured."""
    lines = [
        "# mini: the model bundled with dnsity",
        "",
        "An 11M-parameter bilingual (English, Korean) Qwen3 trained from nothing on two CPU cores",
        "with dnsity's own commands (`experiments/configs/mini_*.yaml`, each says its stage; the",
        "mean of the last five, `scripts/average.py`), all weights trained, 25 appended gists. It",
        "exists so that the first minute needs no download.",
        "",
        "**It can** carry a passkey, or a fact about a named place, person or thing, from ordinary",
        "prose of thousands of tokens through 25 gists, digits, words and names, as often as the",
        "table says. **It cannot** be trusted with several alike needles in one document (of four",
        "it tells half apart, of eight a fifth) nor with facts in words that are far from those of",
        "training; it does not reason, summarise, translate or chat, and it answers as surely when",
        "it is wrong: what the document does not say mostly gets an invented reply. A passkey in",
        "the other language's prose, tables and lists:",
        "`results/eval_robust.json`.",
        "",
    ]
    if summary is not None:
        rows = [Row.model_validate(row) for row in summary["rows"]]
        lines += [
            "Measured on held-out text (`results/eval_mini.json`; tasks and methods are in",
            "`docs/evaluation.md`):",
            "",
            *tables.glance(rows),
            "",
        ]
    lines += [
        "Training text: English Wikipedia (2015) and Korean Wikipedia (2020), CC BY-SA 3.0, with",
        "synthetic passkeys inserted. The demonstration documents and their answers are",
        "not in the training data.",
        "",
        "A saved gist holds its document in compressed form: treat the file as the document.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Copy, write the card, check the size."""
    source = Path(sys.argv[1])
    if TARGET.exists():
        shutil.rmtree(TARGET)
    shutil.copytree(source, TARGET)
    results = ROOT / "results" / "eval_mini.json"
    summary = json.loads(results.read_text("utf-8")) if results.exists() else None
    (TARGET / "README.md").write_text(card(summary), encoding="utf-8")
    size = sum(path.stat().st_size for path in TARGET.rglob("*") if path.is_file())
    sys.stdout.write(f"{TARGET}: {size / 1e6:.1f} MB\n")
    return 0 if size <= MAX_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
