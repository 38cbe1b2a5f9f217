r"""Evaluate a base model without gists: full context, retrieval, truncation, no context.

    python experiments/eval_baseline.py --base Qwen/Qwen3-0.6B \
        --config experiments/configs/eval_mini.yaml

The tasks come from a configuration of `dnsity eval`; its models and methods are replaced.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from dnsity.cli.evaluate import script
from dnsity.config import load
from dnsity.evaluation.methods import METHODS
from dnsity.evaluation.settings import DEFAULT_METHODS, EvalConfig

BASELINES = [name for name in DEFAULT_METHODS if not METHODS[name].needs_gists]


def settings(given: Namespace) -> EvalConfig:
    """Return the configuration with its models and methods replaced."""
    replaced = ["models=[]", f"bases=[{','.join(given.base)}]"]
    replaced.append(f"methods=[{','.join(given.method)}]")
    return load(given.config, EvalConfig, [*replaced, *given.set])


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", nargs="+", required=True, help="directories or hub ids")
    parser.add_argument("--config", type=Path, required=True, help="configuration of dnsity eval")
    parser.add_argument("--set", nargs="*", default=[], help="override a setting: limit=5")
    script(parser, settings, methods=BASELINES, output_dir=Path("runs/baseline"))
