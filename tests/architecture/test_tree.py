"""The file tree of the README is the tree on the disk."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


def _tree(text: str) -> dict[str, str] | None:
    """Return the tree's paths with their descriptions; None if the README has no tree.

    The tree is a block of type `text` whose first line is `dnsity/`. Every further line is a path
    relative to the root, two or more spaces and a description.
    """
    found = re.search(r"^```text\ndnsity/\s*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        return None
    lines = [line for line in found[1].splitlines() if line.strip()]
    parts = [re.fullmatch(r"\s*(\S+)\s{2,}(\S.*)", line) for line in lines]
    assert all(parts), f"not 'path  description': {[n for n, p in zip(lines, parts) if not p]}"  # noqa: B905
    return {part[1].rstrip("/"): part[2] for part in parts if part}


@pytest.fixture(scope="module")
def tree() -> dict[str, str]:
    found = _tree(README.read_text("utf-8"))
    if found is None:
        pytest.skip("the README has no tree yet")
    return found


def _directories() -> set[str]:
    """Return every top-level directory and package that has tracked files."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(name).parts for name in done.stdout.splitlines()]
    top = {parts[0] for parts in files if len(parts) > 1 and not parts[0].startswith(".")}
    packages = {
        "/".join(parts[:3]) for parts in files if parts[:2] == ("src", "dnsity") and len(parts) > 3
    }
    return top | packages


def test_every_path_of_the_tree_exists(tree: dict[str, str]) -> None:
    assert [path for path in tree if not (ROOT / path).exists()] == []


def test_every_directory_is_in_the_tree(tree: dict[str, str]) -> None:
    """A top-level directory counts as listed if a path below it is; packages are listed alone."""
    top = {Path(path).parts[0] for path in tree}
    assert sorted(_directories() - top - set(tree)) == []


def test_the_tree_of_a_readme_is_read_line_by_line() -> None:
    text = "# A\n\n```text\ndnsity/\nsrc/dnsity/gist/   layout and mask\n\nresults/  figures\n```\n"
    assert _tree(text) == {"src/dnsity/gist": "layout and mask", "results": "figures"}
    assert _tree("# A\n") is None
