"""Evaluate a checkpoint on LongBench by every method.

    python experiments/eval_longbench.py --checkpoint mini --dataset narrativeqa

The same as `dnsity eval` with one `longbench` task; get the records with `dnsity data longbench`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dnsity.cli.console import fail
from dnsity.cli.evaluate import evaluate
from dnsity.config import validated
from dnsity.evaluation.settings import DEFAULT_METHODS, EvalConfig


def main() -> int:
    """Read the arguments, evaluate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", nargs="+", default=["mini"], help="gist models")
    parser.add_argument("--dataset", nargs="*", default=[], help="default: all in the folder")
    parser.add_argument("--folder", default="data/longbench", help="records, prompts and limits")
    parser.add_argument("--method", nargs="+", default=DEFAULT_METHODS)
    parser.add_argument("--limit", type=int, default=50, help="records per dataset, at most")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/longbench"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    given = parser.parse_args()
    values = {
        "models": given.checkpoint,
        "tasks": [{"family": "longbench", "folder": given.folder, "datasets": given.dataset}],
        "methods": given.method,
        "limit": given.limit,
    }
    settings = validated(EvalConfig, values, "command line")
    evaluate(settings, given.output_dir, given.device, given.json)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(fail(error))
