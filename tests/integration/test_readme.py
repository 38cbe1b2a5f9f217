"""Generated tables match results/; the demonstration is not in the training data."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from dnsity.data.generators import languages

ROOT = Path(__file__).resolve().parents[2]
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


def test_nothing_of_the_demonstration_is_in_the_training_generators() -> None:
    folder = ROOT / "src" / "dnsity" / "cli" / "demo_documents"
    documents = yaml.safe_load((folder / "questions.yaml").read_text("utf-8"))["documents"]
    vocabulary = repr([pack.wording for pack in languages.LANGUAGES.values()])
    for language in languages.LANGUAGES:
        for module in sorted(Path(languages.__file__).with_name(language).glob("*.py")):
            vocabulary += module.read_text(encoding="utf-8")
    for document in documents:
        text = (folder / document["document"]).read_text(encoding="utf-8")
        for question in document["questions"]:
            assert text.count(question["answer"]) == 1
            assert question["answer"] not in vocabulary
            assert not any(word in vocabulary for word in DEMONSTRATION)
