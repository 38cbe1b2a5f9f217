"""Mutation testing of the core: change one thing in the code and check that a test fails.

    python scripts/mutate.py --sample 40                # a random sample (--seed)
    python scripts/mutate.py gist_file.py --sample 0    # every mutant of one file

A process per core, each with a copy of `src` under the tests below; survivors are listed by line.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GIST_TESTS = "tests/unit/gist tests/golden tests/equivalence/test_two_pass.py".split()
FILE_TESTS = (
    "tests/unit/inference/test_gist_file_format.py tests/golden tests/trust/test_the_file.py"
).split()
MODEL_FILES = "backbone caches segments windows switches masked".split()
MODEL_TESTS = (
    "tests/unit/model/test_backbone.py tests/unit/model/test_twin.py "
    "tests/equivalence/test_two_pass.py tests/equivalence/test_batching.py "
    "tests/equivalence/test_gradients.py tests/equivalence/test_scopes.py "
    "tests/unit/inference/test_chunks.py tests/unit/inference/test_chunk_batches.py "
    "tests/unit/inference/test_gist_attention.py tests/equivalence/test_sharded.py"
).split()
CORE = {
    "gist/spec.py": GIST_TESTS,
    "gist/layout.py": GIST_TESTS,
    "gist/mask.py": GIST_TESTS,
    "gist/picture.py": GIST_TESTS,
    "inference/gist_file.py": FILE_TESTS,
    **{f"model/{name}.py": MODEL_TESTS for name in MODEL_FILES},
}
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add,
    ast.FloorDiv: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def mutants(source: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, change and changed source, for every known change."""
    tree = ast.parse(source)
    types = set(_annotations(tree))
    for number, node in enumerate(ast.walk(tree)):
        for change in _changes(node) if node not in types else ():
            other = copy.deepcopy(tree)
            line, what = change(list(ast.walk(other))[number])
            yield line, what, ast.unparse(other)


def _annotations(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of annotations: they do not run here, and mypy checks them."""
    for node in ast.walk(tree):
        for field in ("annotation", "returns"):
            if found := getattr(node, field, None):
                yield from ast.walk(found)


def _changes(node: ast.AST) -> Iterator:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield _set("ops", lambda n: [SWAPS[type(n.ops[0])](), *n.ops[1:]])
    if isinstance(node, (ast.BoolOp, ast.BinOp)) and type(node.op) in SWAPS:
        yield _set("op", lambda n: SWAPS[type(n.op)]())
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _set("operand", lambda n: ast.UnaryOp(ast.Not(), n.operand))
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _set("value", lambda n: not n.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield _set("value", lambda n: n.value + 1)
    if isinstance(node, ast.If):
        yield _set("test", lambda n: ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.Raise):
        yield _set("exc", lambda n: ast.Name("NotImplementedError", ast.Load()))


def _set(field: str, value):
    def change(node: ast.AST) -> tuple[int, str]:
        before = ast.unparse(node).split("\n")[0]
        setattr(node, field, value(node))
        return node.lineno, f"{before}  ->  {ast.unparse(ast.fix_missing_locations(node))}"[:160]

    return change


def survives(file: str, source: str, tests: list[str]) -> bool:
    """Return whether all tests pass on a mutant; a mutant that never ends counts as caught."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "src", Path(folder) / "src")
        (Path(folder) / "src" / "dnsity" / file).write_text(source, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-qx", "--no-header", "-p", "no:cacheprovider"]
        try:
            done = subprocess.run(
                [*command, *tests], cwd=ROOT, timeout=300, capture_output=True,
                env={**os.environ, "PYTHONPATH": f"{folder}/src", "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Try mutants and print how many were caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="parts of names (default: the whole core)")
    parser.add_argument("--sample", type=int, default=40, help="mutants to try; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    files = [f for f in CORE if not given.files or any(part in f for part in given.files)]
    sampled = [
        (file, *mutant)
        for file in files
        for mutant in mutants((ROOT / "src" / "dnsity" / file).read_text(encoding="utf-8"))
    ]
    total = len(sampled)
    random.Random(given.seed).shuffle(sampled)
    sampled = sampled[: given.sample or total]
    for file in {file for file, *_ in sampled}:  # otherwise every mutant would count as caught
        source = (ROOT / "src" / "dnsity" / file).read_text(encoding="utf-8")
        if not survives(file, ast.unparse(ast.parse(source)), CORE[file]):
            sys.exit(f"the tests of {file} fail without a change; fix that first")
    survivors = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        tried = pool.map(lambda mutant: survives(mutant[0], mutant[3], CORE[mutant[0]]), sampled)
        for number, survived in enumerate(tried, start=1):
            file, line, what, _ = sampled[number - 1]
            if survived:
                survivors += 1
                _say(f"survived: {file}:{line}: {what}")
            _say(f"{number - survivors} of {number} caught")
    _say(f"{len(sampled) - survivors} of {len(sampled)} mutants caught, sampled from {total}")


if __name__ == "__main__":
    main()
