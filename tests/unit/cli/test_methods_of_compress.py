"""`dnsity compress --method`: any base, the same files, the same commands afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dnsity.inference.methods.refine.slots import Best, Slots
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


def test_settings_by_name_are_the_same_as_options(
    run: Run, document: Path, base_directory: str, tmp_path: Path
) -> None:
    command = ("compress", document, "-m", base_directory, "--method", "select", "--no-check")
    files = [tmp_path / f"{name}.gist.safetensors" for name in "ab"]
    options = (("--ratio", "4", "--even"), ("--set", "ratio=4", "--set", "even=true"))
    for file, given in zip(files, options, strict=True):
        assert run(*command, "-o", file, *given).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()


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
        (("--method", "select", "--set", "minutes=1"), "minutes: unknown key, allowed are ratio"),
        (("--method", "select", "--set", "ratio"), "--set needs key=value"),
        (("--method", "select", "--ratio", "2", "--set", "ratio=4"), "ratio is given twice"),
        (("--method", "refine", "--set", "state=x"), "state cannot be set; allowed are minutes"),
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
    """Started again it resumes, prints progress on standard error and removes its state file."""
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


# What a compression is worth


def _scripted(monkeypatch: pytest.MonkeyPatch, full: int, gists: int) -> None:
    """Let full context (the first asked) and the gists answer so many questions right."""
    calls: list[int] = []

    def right(loaded: Any, prefix: Any, probes: Any) -> list[bool]:
        if prefix is None:
            calls.clear()
            return [False] * len(probes)
        calls.append(0)
        count = full if len(calls) == 1 else gists
        return [number < count for number in range(len(probes))]

    for module in ("check", "methods.refine.training"):
        monkeypatch.setattr(f"dnsity.inference.{module}.answered_right", right)


def _long(document: Path) -> Path:
    lines = (f"Line {n} of the list says that code {n * n + 77} is in use. " for n in range(8))
    document.write_text("".join(lines), encoding="utf-8")
    return document


def test_a_check_is_shown_saved_and_warned_of(
    run: Run, document: Path, base_directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.gist.safetensors"
    command = ("compress", _long(document), "-o", target, "-m", base_directory,
               "--method", "select")  # fmt: skip
    _scripted(monkeypatch, full=6, gists=3)
    made = run(*command)
    asked = made.out.split("check: 3 of 6 questions answered as with the whole document (6 of ")[1]
    assert "warning: answers from these gists are not reliable: 3 of the 6" in made.err
    assert "use a lower --ratio or more --gists" in made.err
    shown = run("inspect", target).out
    assert (
        f"check        3 of 6 questions answered as with the whole document (6 of {asked[0]}"
        in (shown)
    )
    assert "below the floor" in shown
    assert run("inspect", target, "--json").json["check"]["both"] == 3
    said = run(*command, "--json").json["check"]
    assert (said["full"], said["both"], said["passed"]) == (6, 3, False)
    _scripted(monkeypatch, full=6, gists=6)
    assert run(*command).err == ""
    without = run(*command, "--no-check")
    assert "check:" not in without.out
    assert run("inspect", target, "--json").json["check"] is None


def test_gist_tokens_are_checked_when_asked_to(
    run: Run, document: Path, model_directory: str, tmp_path: Path
) -> None:
    command = ("compress", _long(document), "-o", tmp_path / "a", "-m", model_directory)
    assert "check:" not in run(*command).out
    assert "check:" in run(*command, "--check").out


def test_refining_says_what_it_changed(
    run: Run, document: Path, base_directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.gist.safetensors"
    command = ("compress", _long(document), "-o", target, "-m", base_directory,
               "--method", "refine", "--gists", "3", "--steps", "1")  # fmt: skip
    _scripted(monkeypatch, full=6, gists=5)
    made = run(*command)
    assert "refined in 1 steps: right answers 5 -> 5 of " in made.out
    assert "(full context 6)" in made.out
    assert "check: 5 of 6 questions" in made.out
    monkeypatch.setattr("dnsity.inference.methods.refine.slots.Slots.keep_if_best", _first_only)
    kept = run(*command)
    assert "warning: refining improved no held-out answer, so its start (select)" in kept.err
    assert run("inspect", target, "--json").json["settings"]["kept_start"] is True


def _first_only(slots: Slots, score: Any, answer: Any) -> None:
    if slots.best is None:
        slots.best = Best(slots.layers(torch.float32), score, answer(), is_start=True)


def test_a_folder_says_which_gists_are_below_the_floor(
    run: Run, document: Path, base_directory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _long(document)
    _scripted(monkeypatch, full=6, gists=3)
    command = ("compress", document.parent, "-m", base_directory, "--method", "select", "--json")
    made = run(*command, "-o", tmp_path / "store")
    assert made.json["below_floor"] == 1
    assert f"warning: {document.name}: answers from these gists" in made.err
    assert run(*command, "-o", tmp_path / "store").json["kept"] == 1
    plain = run(*command, "-o", tmp_path / "other", "--no-check")
    assert (plain.json["below_floor"], plain.err.count("warning")) == (0, 0)
