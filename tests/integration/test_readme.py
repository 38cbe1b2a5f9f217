"""The READMEs' tables are what results/ says; the demonstration is not in the training data."""

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
        [sys.executable, str(ROOT / "scripts" / "readme_tables.py"), "--check"], check=False
    )
    assert done.returncode == 0, "run `make results`"


def test_both_readmes_say_the_same() -> None:
    """The same sections, commands, generated parts and files; what is said is translated."""
    english, korean = ((ROOT / f"README{kind}.md").read_text("utf-8") for kind in ("", ".ko"))
    for found in (r"^(#+) ", r"^(dnsity \S+ ?\S*)", r"<!-- .* -->", r"^\| `(\S+)` \|"):
        assert re.findall(found, korean, re.MULTILINE) == re.findall(found, english, re.MULTILINE)
    for text in (english, korean):
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
