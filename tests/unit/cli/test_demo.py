"""The demonstration of a base, on a machine where refining is refused."""

from __future__ import annotations

from typing import Any

import pytest

from dnsity.cli import demo
from dnsity.cli.demo import DemoDocument, DemoQuestion
from dnsity.errors import BadInputError
from dnsity.evaluation.methods import METHODS
from tiny import LONG_DOCUMENT, tiny_base_model

NAMES = ("refine:minutes=1,gists=4", "select:ratio=4", "full", "none")


def _refuse(*_: Any) -> Any:
    raise BadInputError("refine has 1 minute; give --minutes 2 or more")


def _report() -> dict[str, Any]:
    asked = DemoDocument(
        document="a.txt", questions=[DemoQuestion(question="What is the passkey?", answer="7919")]
    )
    return demo._run(tiny_base_model("llama").loaded, LONG_DOCUMENT, asked, NAMES)


def test_the_other_methods_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(METHODS["refine"], "ingest", _refuse)
    report = _report()
    assert tuple(report["prepare_s"]) == NAMES[1:]
    assert set(report["questions"][0]["methods"]) == {*NAMES[1:]}
    assert report["compression_ratio"] == pytest.approx(4, abs=0.1)
    assert "refined is left out: refine has 1 minute" in capsys.readouterr().err


def test_what_any_other_method_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS["refine"], "ingest", _refuse)
    monkeypatch.setattr(METHODS["select"], "ingest", _refuse)
    with pytest.raises(BadInputError, match="refine has 1 minute"):
        _report()
