"""Who sees whom, drawn: a change of the mask shows as a change of these pictures.

To record them anew after a wanted change: DNSITY_GOLDEN=record pytest tests/golden, then read the
diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dnsity.gist import mask
from dnsity.gist.layout import Layout
from dnsity.gist.picture import picture

PICTURES = Path(__file__).parent / "pictures"

LAYOUTS = {
    "append": Layout(chunks=(5,), gists=2, questions=(2,)),
    "spread": Layout(chunks=(5,), gists=2, questions=(2,), placement="spread"),
    "two_chunks_independent": Layout(chunks=(3, 4), gists=2, questions=(2,)),
    "two_chunks_carry": Layout(
        chunks=(3, 4), gists=2, questions=(2,), placement="spread", chunking="carry"
    ),
    "two_questions": Layout(chunks=(4,), gists=2, questions=(2, 3)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_picture_is_as_recorded(name: str) -> None:
    drawn = picture(LAYOUTS[name]) + "\n"
    path = PICTURES / f"{name}.txt"
    if os.environ.get("DNSITY_GOLDEN") == "record":
        path.write_text(drawn, encoding="utf-8")
    assert drawn == path.read_text(encoding="utf-8")


def test_every_recorded_picture_is_tested() -> None:
    assert {path.stem for path in PICTURES.glob("*.txt")} == set(LAYOUTS)


def test_the_drawing_in_the_documentation_is_the_truth() -> None:
    """The docstring of the mask shows append and spread side by side."""
    small = [
        picture(Layout(chunks=(2,), gists=2, questions=(1,), placement=placement)).splitlines()
        for placement in ("append", "spread")
    ]
    documented = {" ".join(line.split()) for line in (mask.__doc__ or "").splitlines()}
    for left, right in zip(*small, strict=True):
        assert " ".join((left + " " + right).split()) in documented
