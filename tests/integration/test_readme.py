"""Generated tables match results/; the demonstration is not in the training data."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dnsity.config import load
from dnsity.data.generators.en import values as values_en
from dnsity.data.generators.en import wording as wording_en
from dnsity.data.generators.ko import values as values_ko
from dnsity.data.generators.ko import wording as wording_ko
from dnsity.evaluation.settings import EvalConfig
from dnsity.training.pretrain import PretrainConfig
from dnsity.training.train_gist import TrainConfig

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / "experiments" / "configs"
COMPARISON = runpy.run_path(str(ROOT / "experiments" / "compare.py"))["Comparison"]
DEMONSTRATION = (
    "Gullstead;버들나루;Vellacott;visitors' network;reading room;sail loft;ferry desk;volunteers;"
    "무선망;민원 안내;도서실;자료 보관실;옥상 텃밭"
).split(";")
"""What the demonstration's questions are about."""


def test_generated_tables_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "result_tables.py"), "--check"], check=False
    )
    assert done.returncode == 0, "run `make results`"


def test_a_readme_is_short() -> None:
    for name in ("README.md", "README.ko.md"):
        assert len((ROOT / name).read_text("utf-8").splitlines()) <= 150, name


def test_every_result_of_the_bundled_model_is_on_a_page() -> None:
    """README and results page together have every generated part, in both languages."""
    for kind in ("", ".ko"):
        pages = [ROOT / f"README{kind}.md", ROOT / "docs" / f"results{kind}.md"]
        text = "".join(page.read_text("utf-8") for page in pages)
        assert sorted(re.findall(r"<!-- generated: (\S+) -->", text)) == [
            *("bases", "bench", "card", "cost", "demo", "documents"),
            *("evaluation", "results", "shapes", "targets", "training"),
        ]


def test_both_readmes_say_the_same() -> None:
    """The same sections, commands, generated parts and file tree; the text is translated."""
    for name in ("README{}.md", "docs/results{}.md"):
        english, korean = ((ROOT / name.format(kind)).read_text("utf-8") for kind in ("", ".ko"))
        for found in (r"^(#+) ", r"^(dnsity \S+ ?\S*)", r"<!-- .* -->", r"^(\S+/\S*)  +\S"):
            assert re.findall(found, korean, re.M) == re.findall(found, english, re.M), found
    for text in ((ROOT / f"README{kind}.md").read_text("utf-8") for kind in ("", ".ko")):
        for link in re.findall(r"\]\(([^):#]+)\)", text):
            assert (ROOT / link).exists(), link


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_configurations_parse(path: Path) -> None:
    named = re.findall(r"(?:dnsity \w+|compare.py) --config (\S+)", path.read_text("utf-8"))
    if path.stem.startswith("compare_"):
        comparison = load(path, COMPARISON)
        model = EvalConfig if comparison.command == "eval" else TrainConfig
        for variant in comparison.variants.values():
            load(ROOT / comparison.run, model, variant.settings)
        assert {Path(each).name for each in named} == {path.name}
        return
    model = EvalConfig if path.stem.startswith("eval_") else TrainConfig
    model = PretrainConfig if path.stem.endswith("_pretrain") else model
    config = load(path, model)
    assert named, "a configuration says how it is run"
    assert {Path(each).name for each in named} == {path.name}
    if isinstance(config, TrainConfig):
        counts = re.match(r"gist_(\d+)(_spread)?$", path.stem)
        if counts:
            assert config.gist.gists == int(counts[1])
            assert config.gist.placement == ("spread" if counts[2] else "append")


def test_the_promised_configurations_are_there() -> None:
    promised = "gist_10 gist_25 gist_50 gist_25_spread smoke mini_pretrain mini_gist"
    large = "qwen3_4b_24gb llama31_8b_24gb"
    assert {path.stem for path in CONFIGS.glob("*.yaml")} >= {*promised.split(), *large.split()}


def test_nothing_of_the_demonstration_is_in_the_training_generators() -> None:
    folder = ROOT / "src" / "dnsity" / "cli" / "demo_documents"
    documents = yaml.safe_load((folder / "questions.yaml").read_text("utf-8"))["documents"]
    vocabulary = repr(wording_en.WORDING) + repr(wording_ko.WORDING)
    for module in (values_en, values_ko, wording_en, wording_ko):
        assert module.__file__ is not None
        vocabulary += Path(module.__file__).read_text(encoding="utf-8")
    for document in documents:
        text = (folder / document["document"]).read_text(encoding="utf-8")
        for question in document["questions"]:
            assert text.count(question["answer"]) == 1
            assert question["answer"] not in vocabulary
            assert not any(word in vocabulary for word in DEMONSTRATION)
