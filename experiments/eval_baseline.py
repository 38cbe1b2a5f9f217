r"""Evaluate a base model without gists: full context, retrieval, truncation, no context.

    python experiments/eval_baseline.py --base Qwen/Qwen3-0.6B \
        --config experiments/configs/eval_mini.yaml

The tasks come from a configuration of `dnsity eval`; its models and methods are replaced.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dnsity.cli.console import fail
from dnsity.cli.evaluate import evaluate
from dnsity.config import load
from dnsity.evaluation.methods import METHODS
from dnsity.evaluation.settings import DEFAULT_METHODS, EvalConfig

BASELINES = [name for name in DEFAULT_METHODS if not METHODS[name].needs_gists]


def main() -> int:
    """Read the arguments, evaluate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", nargs="+", required=True, help="directories or hub ids")
    parser.add_argument("--config", type=Path, required=True, help="as dnsity eval takes it")
    parser.add_argument("--method", nargs="+", default=BASELINES)
    parser.add_argument("--set", nargs="*", default=[], help="override a setting: limit=5")
    parser.add_argument("--output-dir", type=Path, default=Path("runs/baseline"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    given = parser.parse_args()
    replaced = ["models=[]", f"bases=[{','.join(given.base)}]"]
    replaced.append(f"methods=[{','.join(given.method)}]")
    settings = load(given.config, EvalConfig, [*replaced, *given.set])
    evaluate(settings, given.output_dir, given.device, given.json)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Exception, KeyboardInterrupt) as error:
        sys.exit(fail(error))
