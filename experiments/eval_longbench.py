"""Evaluate a checkpoint on LongBench by every method.

    python experiments/eval_longbench.py --checkpoint mini --dataset narrativeqa

The same as `dnsity eval` with one `longbench` task; get the records with `dnsity data longbench`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from dnsity.cli.evaluate import script
from dnsity.config import validated
from dnsity.evaluation.settings import DEFAULT_METHODS, EvalConfig


def settings(given: Namespace) -> EvalConfig:
    """Return the configuration of the chosen datasets."""
    values = {
        "models": given.checkpoint,
        "tasks": [{"family": "longbench", "folder": given.folder, "datasets": given.dataset}],
        "methods": given.method,
        "limit": given.limit,
    }
    return validated(EvalConfig, values, "command line")


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", nargs="+", default=["mini"], help="gist models")
    parser.add_argument("--dataset", nargs="*", default=[], help="default: all in the folder")
    parser.add_argument("--folder", default="data/longbench", help="records, prompts and limits")
    parser.add_argument("--limit", type=int, default=50, help="records per dataset, at most")
    script(parser, settings, methods=DEFAULT_METHODS, output_dir=Path("runs/longbench"))
