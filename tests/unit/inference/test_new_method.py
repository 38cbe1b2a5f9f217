"""A new compression method is one file and one line; all interfaces then know it by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dnsity
from tiny import LONG_DOCUMENT, QUESTIONS, save, tiny_gist_model

PACKAGE = Path(dnsity.__file__).parent
METHODS = Path("inference") / "methods"
FILE = '''\
"""Method `opening`: keys and values of the document's first tokens."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from dnsity.inference.gist_cache import GistCache, Progress, ignore_progress
from dnsity.inference.loaded import LoadedModel
from dnsity.inference.methods.compressor import Compressor
from dnsity.inference.methods.document import cache_of, encode


class Opening(Compressor):
    """The document's first tokens."""

    name = "opening"
    heading = "opening"
    cost = "seconds"

    slots: int = Field(default=8, ge=1, description="Tokens to keep.")

    def compress(
        self, loaded: LoadedModel, texts: Sequence[str], progress: Progress = ignore_progress
    ) -> list[GistCache]:
        """Compress documents one by one."""
        return [self._compress(loaded, text) for text in texts]

    def _compress(self, loaded: LoadedModel, text: str) -> GistCache:
        ids = encode(loaded, text)
        layers = loaded.read(ids[: self.slots])
        settings = self.model_dump(mode="json")
        return cache_of(loaded, text, len(ids), layers, method=self.name, settings=settings)
'''
LINE = "from dnsity.inference.methods.opening import Opening"
DRIVER = '''\
"""Run command lines given as JSON; print exit code and both outputs of each as JSON."""

import contextlib, io, json, sys

from dnsity.inference.methods.compressor import Compressor


class Elsewhere(Compressor):
    name = "elsewhere"


from dnsity import GistModel
from dnsity.cli.app import main
from dnsity.inference.methods import COMPRESSORS


def run(arguments):
    out, err, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["dnsity", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    return [code, out.getvalue(), err.getvalue()]


found = [run(arguments) for arguments in json.loads(sys.argv[1])]
gist = GistModel.from_pretrained("model").compress(open("a.txt").read(), method="opening")
print(json.dumps([*found, [gist.info.method, gist.info.n_gist], list(COMPRESSORS)]))
'''
EVALUATION = """
tasks: [{family: niah, language: en, tokens: [160]}]
limit: 1
models: [model]
methods: ["opening", "opening:slots=3"]
method: {slots: 5}
"""


COMPRESS = (
    *("compress", "a.txt", "-o", "a.gist.safetensors", "-m", "model", "--json"),
    *("--method", "opening", "--no-check", "--set"),
)
COMMANDS = (
    (*COMPRESS, "slots=4"),
    ("ask", "a.gist.safetensors", QUESTIONS[0], "-m", "model", "--json"),
    (*COMPRESS, "slots=0"),
    (*COMPRESS, "size=4"),
    ("eval", "--config", "eval.yaml", "--output-dir", "run", "--json"),
)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    """Use a copy of the package that has the new method, in one process; other files are links."""
    root = tmp_path_factory.mktemp("copy")
    for changed in (Path(), METHODS.parent):
        (root / "dnsity" / changed).mkdir()
        for path in (PACKAGE / changed).iterdir():
            if path not in (PACKAGE / METHODS, PACKAGE / METHODS.parent):
                (root / "dnsity" / changed / path.name).symlink_to(path)
    copy = root / "dnsity" / METHODS
    shutil.copytree(PACKAGE / METHODS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "opening.py").write_text(FILE, encoding="utf-8")
    registry = copy / "__init__.py"
    text = registry.read_text("utf-8")
    after = "from dnsity.inference.methods.compressor import Compressor\n"
    registry.write_text(text.replace(after, f"{after}{LINE}\n"), encoding="utf-8")
    save(tiny_gist_model(), root / "model")
    (root / "a.txt").write_text(LONG_DOCUMENT, encoding="utf-8")
    (root / "eval.yaml").write_text(EVALUATION, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(COMMANDS)],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = json.loads(done.stdout)
    return found


def test_the_command_line_takes_it_with_its_settings(results: list[list[Any]]) -> None:
    (code, out, err), (answered, answers, _), *_ = results
    assert code == answered == 0, err
    made = json.loads(out)
    assert (made["method"], made["gist_tokens"], made["settings"]) == ("opening", 4, {"slots": 4})
    assert len(json.loads(answers)["answers"]) == 1


def test_the_command_line_refuses_other_settings(results: list[list[Any]]) -> None:
    (_, _, out_of_range), (_, _, unknown) = results[2:4]
    assert "--method opening with --set: slots: Input should be greater" in out_of_range
    assert "--method opening with --set: size: unknown key, allowed are slots" in unknown


def test_python_takes_it(results: list[list[Any]]) -> None:
    assert results[-2] == ["opening", 8]


def test_the_import_registers_it_and_no_class_elsewhere(results: list[list[Any]]) -> None:
    assert "opening" in results[-1]
    assert "elsewhere" not in results[-1]


def test_an_evaluation_takes_it_with_settings_of_run_and_name(results: list[list[Any]]) -> None:
    code, out, err = results[4]
    assert code == 0, err
    slots = {row["method"]: row["cost"]["slots"] for row in json.loads(out)["rows"]}
    assert slots == {"opening": 5, "opening:slots=3": 3}
