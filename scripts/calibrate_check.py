"""Compare the share that the quality check finds with the share of hidden facts answered.

    python scripts/calibrate_check.py --base DIR --haystack TEXTS.jsonl -o results/check_NAME.json

Each document is real prose with a few hidden facts. `select` compresses it at several ratios. The
check asks its own questions, which do not concern those facts; then plain questions ask for the
facts, from the slots and from the whole document. Both shares are relative to what full context
answers. Results are written one by one: the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from dnsity import GistModel
from dnsity.config import Config
from dnsity.data.generators.niah import NiahConfig, generate
from dnsity.errors import BadInputError
from dnsity.inference.check import check
from dnsity.inference.generate import Sampling, answer
from dnsity.inference.methods.select import Select
from dnsity.io.atomic import write_json
from dnsity.io.provenance import manifest


class Calibration(Config):
    """Settings of the calibration.

    Attributes:
        base: Name of the base.
        haystack: Prose that no evaluation uses.
        documents: Number of documents.
        tokens: Length of each document.
        facts: Hidden facts in each document.
        ratios: Document tokens per slot.
        instruction: Text between document and question.
        seed: Random seed of the documents.
    """

    base: str
    haystack: str
    documents: int = 8
    tokens: int = 900
    facts: int = 4
    ratios: tuple[float, ...] = (2, 4, 10, 20)
    instruction: str = "Use the text above to answer this question."
    seed: int = 4242


def rows_of(model: GistModel, run: Calibration, haystack: str, done: int) -> Any:
    """Yield the results of each document that is not complete."""
    loaded = model.loaded
    niah = NiahConfig(
        haystack=haystack, samples=run.documents, tokens=[run.tokens], needles=run.facts,
        wording="named", seed=run.seed,
    )  # fmt: skip
    for number, example in enumerate(generate(niah, loaded.encoder)):
        if number < done:
            continue
        questions = [question.text for question in example.questions]
        golds = [question.answer for question in example.questions]

        def right(layers: Any, asked: Any = questions, golds: Any = golds) -> list[bool]:
            said = answer(loaded, layers, asked, Sampling(max_new_tokens=32))
            return [gold in one.text for one, gold in zip(said, golds, strict=True)]

        full = right(loaded.read(loaded.frame.document(example.document)))
        rows = []
        for ratio in run.ratios:
            gist = model.compress(example.document, method=Select(ratio=ratio))
            found, facts = check(loaded, gist, example.document), right(gist.layers)
            rows.append({
                "document": number, "ratio": ratio, "check": found.model_dump(),
                "passed": found.passed, "facts": len(full), "facts_full": sum(full),
                "facts_both": sum(a and b for a, b in zip(full, facts, strict=True)),
            })  # fmt: skip
        yield rows


def main() -> None:
    """Run or resume."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", required=True)
    parser.add_argument("--haystack", required=True)
    parser.add_argument("--documents", type=int, default=8)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    run = Calibration(
        base=Path(given.base).name, haystack=Path(given.haystack).name, documents=given.documents
    )
    model = GistModel.from_base(given.base, instruction=run.instruction)
    result: dict[str, Any] = {"manifest": manifest(run, run.seed), "calibration": []}
    if given.output.exists():
        begun = json.loads(given.output.read_text(encoding="utf-8"))
        if any(begun["manifest"][key] != result["manifest"][key] for key in ("config", "commit")):
            raise BadInputError(f"{given.output} is of other settings or code; choose another file")
        result = begun
    done = len(result["calibration"]) // len(run.ratios)
    for rows in rows_of(model, run, given.haystack, done):
        result["calibration"] += rows
        write_json(given.output, result)
        sys.stdout.write("".join(f"{row}\n" for row in rows))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
