"""`dnsity compress --method`: any base, the same files, the same commands afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dnsity.inference.slots import Slots
from running import Run
from tiny import DOCUMENT, QUESTIONS, save, tiny_gist_model


@pytest.fixture(scope="module")
def base_directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A base model as anybody has one: weights and tokenizer, no gists."""
    return str(save(tiny_gist_model(), tmp_path_factory.mktemp("base") / "model") / "base")


def test_select_on_a_plain_base(
    run: Run, document: Path, base_directory: str, tmp_path: Path
) -> None:
    target = tmp_path / "a.gist.safetensors"
    made = run(
        "compress", document, "-o", target, "-m", base_directory, "--method", "select",
        "--ratio", "4", "--json",
    )  # fmt: skip
    assert (made.code, made.json["method"]) == (0, "select")
    assert made.json["gist_tokens"] == -(-made.json["context_tokens"] // 4)
    assert made.json["settings"]["ratio"] == 4
    assert "select" in run("inspect", target).out
    assert run("inspect", target, "--json").json["method"] == "select"
    assert run("verify", target, "-m", base_directory).code == 0
    assert len(run("ask", target, *QUESTIONS, "-m", base_directory, "--json").json["answers"]) == 3


def test_a_plain_base_has_no_gist_tokens(
    run: Run, document: Path, base_directory: str, tmp_path: Path
) -> None:
    for source in (document, document.parent):
        done = run("compress", source, "-o", tmp_path / "x", "-m", base_directory)
        assert done.code == 2
        assert "--method refine" in done.err


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (("--method", "squeeze"), "no method 'squeeze'; known are gist, "),
        (("--method", "gist", "--ratio", "4"), "--method gist: ratio: unknown key"),
        (("--method", "select", "--ratio", "4", "--gists", "4"), "not both"),
        (("--method", "select", "--ratio", "0.5"), "ratio"),
        (("--method", "select", "--minutes", "1"), "minutes"),
    ],
)
def test_options_a_method_does_not_take_are_named(
    run: Run, document: Path, base_directory: str, options: tuple[str, ...], match: str
) -> None:
    done = run("compress", document, "-m", base_directory, *options)
    assert done.code == 2
    assert match in done.err


def test_a_folder_by_another_method_is_done_again(
    run: Run, document: Path, model_directory: str, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    command = ("compress", document.parent, "-o", store, "-m", model_directory, "--json")
    select = ("--method", "select")
    for method in ((), select, (*select, "--ratio", "4")):
        assert run(*command, *method).json["compressed"] == 1
        assert run(*command, *method).json["kept"] == 1


def test_a_gist_goes_to_peft_and_back(run: Run, gist_file: Path, tmp_path: Path) -> None:
    adapter, back = tmp_path / "adapter", tmp_path / "back.gist.safetensors"
    assert run("export", gist_file, "--peft", adapter, "--json").json["gist_tokens"] > 0
    assert run("import", "--peft", adapter, "-o", back).code == 0
    assert back.read_bytes() == gist_file.read_bytes()
    assert run("import", "--peft", tmp_path / "nothing", "-o", back).code == 2


def test_refine_on_a_plain_base(
    run: Run, document: Path, base_directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped and started again, it goes on; progress on standard error, nothing left behind."""
    target = tmp_path / "out" / "a.gist.safetensors"
    target.parent.mkdir()
    document.write_text(DOCUMENT * 3, encoding="utf-8")
    command = ("compress", document, "-o", target, "-m", base_directory, "--method", "refine",
               "--gists", "3", "--steps", "45", "--json")  # fmt: skip
    learn, steps = Slots.learn, []

    def stopped(self: Slots, *given: Any) -> None:
        steps.append(self.step)
        if len(steps) == 30:
            raise KeyboardInterrupt
        learn(self, *given)

    monkeypatch.setattr(Slots, "learn", stopped)
    assert run(*command).code == 130
    assert len(list(target.parent.iterdir())) == 1
    done = run(*command)
    assert done.json["settings"]["steps"] == 45
    assert steps == [*range(30), *range(20, 45)]
    assert "held-out loss" in done.err
    assert list(target.parent.iterdir()) == [target]
    assert run("verify", target, "-m", base_directory).code == 0
    assert "loss_after" in run("inspect", target).out


def test_a_folder_is_refined_file_by_file(
    run: Run, document: Path, base_directory: str, tmp_path: Path
) -> None:
    document.write_text(DOCUMENT * 3, encoding="utf-8")
    (document.parent / "short.txt").write_text("Hi", encoding="utf-8")
    store = tmp_path / "store"
    done = run(
        "compress", document.parent, "-o", store, "-m", base_directory, "--method", "refine",
        "--gists", "3", "--steps", "1",
    )  # fmt: skip
    assert done.code == 2
    assert "1 of 2 files" in done.err
    assert [path.name for path in store.iterdir()] == [f"{document.name}.gist.safetensors"]
