"""Add the model card to a trained gist model: `python recipes/mini/bundle.py MODEL [--target DIR]`.

Without `--target` the model replaces the one in the package.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from dnsity.evaluation import tables
from dnsity.evaluation.row import Row
from dnsity.model import checkpoint

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ROOT / "src" / "dnsity" / "model" / "assets" / "mini"
MAX_BYTES = 32 * 1000 * 1000


def card(summary: dict[str, Any] | None) -> str:
    """Return the model card: what the model is, its training data and its scores."""
    lines = [
        "# mini: the model bundled with dnsity",
        "",
        "An 11M-parameter bilingual (English, Korean) Qwen3, trained from scratch on two CPU",
        "cores. `recipes/mini` is its recipe; its weights are the mean of the last five stages.",
        "All weights are trained, with 25 appended gists. It is for trying dnsity without a",
        "download.",
        "",
        "**It can** carry a passkey, or a fact about a named place, person or thing, from ordinary",
        "prose of thousands of tokens through 25 gists: digits, words and names, as often as the",
        "table shows. **It cannot** be relied on for several similar needles in one document (it",
        "distinguishes half of four and a fifth of eight), nor for facts in wordings far from its",
        "training data. It does not reason, summarise, translate or chat. Its wrong answers look",
        "as confident as its right ones: asked for what the document does not contain, it mostly",
        "invents a reply. For a passkey in prose of the other language, in tables and in lists,",
        "see `results/eval_robust.json`.",
        "",
    ]
    if summary is not None:
        rows = [Row.model_validate(row) for row in summary["rows"]]
        lines += [
            "Measured on held-out text (`results/eval_mini.json`; `docs/evaluate.md` describes",
            "tasks and methods):",
            "",
            *tables.glance(rows),
            "",
        ]
    lines += [
        "Training text: English Wikipedia (2015) and Korean Wikipedia (2020), CC BY-SA 3.0, with",
        "synthetic passkeys inserted. The demonstration documents and their answers are not in the",
        "training data.",
        "",
        "A saved gist contains its document in compressed form: treat the file as the document.",
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Copy the model, write the card, check the size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="directory of a gist model")
    parser.add_argument("--target", type=Path, default=PACKAGED, help="directory to replace")
    given = parser.parse_args()
    if not (given.model / checkpoint.CONFIG_FILE).exists():
        parser.error(f"{given.model} is no gist model; give a directory that `dnsity train` wrote")
    if given.target.exists():
        shutil.rmtree(given.target)
    shutil.copytree(given.model, given.target)
    results = ROOT / "results" / "eval_mini.json"
    summary = json.loads(results.read_text("utf-8")) if results.exists() else None
    (given.target / "README.md").write_text(card(summary), encoding="utf-8")
    size = sum(path.stat().st_size for path in given.target.rglob("*") if path.is_file())
    sys.stdout.write(f"{given.target}: {size / 1e6:.1f} MB\n")
    return 0 if size <= MAX_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
