"""Measure the whole cost table on a GPU, limited to the memory of a consumer card.

    python scripts/bench_gpu.py [--shapes qwen3-4b llama-3.1-8b] [--kinds bfloat16 nf4] [--vram 24]

Each shape in each kind of weights is a separate `dnsity bench`, so one that runs out of memory does
not stop the others. Existing results are not measured again: an interrupted run resumes. Settings
after `--set` apply to every benchmark.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from dnsity.cli.console import err

RESULTS = Path(__file__).parents[1] / "results"
KINDS = {
    "float32": ["dtype=float32"],
    "bfloat16": ["dtype=bfloat16"],
    "nf4": ["dtype=bfloat16", "quantization=nf4"],
}


def main() -> int:
    """Measure what is missing; return 1 if a benchmark failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=["qwen3-4b", "llama-3.1-8b"])
    parser.add_argument("--kinds", nargs="+", default=["bfloat16", "nf4"], choices=list(KINDS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--vram", type=float, default=24.0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument(
        "--set", dest="settings", nargs="+", default=["checkpointing=true", "repeats=3"]
    )
    given = parser.parse_args()
    failed = []
    for shape in given.shapes:
        for kind in given.kinds:
            target = given.results / f"bench_cost_{shape.replace('-', '_')}_{kind}.json"
            if target.exists():
                err.print(f"{target} exists already", soft_wrap=True)
                continue
            settings = [part for one in (*KINDS[kind], *given.settings) for part in ("--set", one)]
            done = subprocess.run(
                [
                    *(sys.executable, "-m", "dnsity", "bench", "--shape", shape, *settings),
                    *("--device", given.device, "--vram", str(given.vram), "-o", str(target)),
                ],
                check=False,
            )
            if done.returncode != 0:
                failed.append(target.name)
    if failed:
        err.print(
            f"failed: {', '.join(failed)}; run the same command to repeat only these",
            soft_wrap=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
