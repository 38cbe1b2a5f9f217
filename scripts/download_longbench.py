"""Get LongBench v1: `python scripts/download_longbench.py --output DIR [--from DIR] [--tasks ...]`.

Intact files are kept; run it again after an interruption.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dnsity.data.readers.longbench import LIMITS, PROMPTS, REPOSITORY, TASKS, fetch
from dnsity.errors import BadInputError


def main(arguments: list[str] | None = None) -> int:
    """Download the files and print the state of each."""
    parser = argparse.ArgumentParser(description="Get the files of LongBench v1.")
    parser.add_argument("--output", type=Path, required=True, help="folder to fill")
    parser.add_argument(
        "--from",
        type=Path,
        dest="source",
        metavar="DIR",
        help="copy them from this folder or data.zip instead of the hub",
    )
    parser.add_argument(
        "--tasks",
        nargs="+",
        default=[],
        metavar="TASK",
        help=f"only these (default: all there are): {', '.join(TASKS)}",
    )
    options = parser.parse_args(arguments)
    try:
        states = fetch(options.output, options.source, options.tasks)
    except BadInputError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    for name, state in states.items():
        sys.stdout.write(f"{state:8}{name}\n")
    if "absent" in (states[PROMPTS], states[LIMITS]):
        sys.stdout.write(
            f"{PROMPTS} and {LIMITS} are not in the archive: put the config folder of "
            f"github.com/{REPOSITORY} into DIR and run this again with --from DIR\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
