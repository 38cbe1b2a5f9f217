"""YAML to typed models: what is wrong is said, and where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, ValidationError, model_validator

from dnsity.config import Config, load
from dnsity.data.readers.corpus import read_documents
from dnsity.errors import BadInputError


class Inner(Config):
    seed: int = 0
    rate: float = Field(default=1e-3, gt=0)


class Outer(Config):
    name: str
    training: Inner = Inner()
    sizes: list[int] = Field(default=[1])
    stages: list[Inner] = Field(default=[])
    parts: dict[str, Inner] = Field(default={})
    teacher: Inner | str | None = None

    @model_validator(mode="after")
    def _has_room(self) -> Outer:
        if len(self.name) > 9:
            raise ValueError(f"the name has {len(self.name)} letters, allowed are 9")
        return self


def _load(tmp_path: Path, text: str, *overrides: str) -> Outer:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return load(path, Outer, overrides)


def test_a_file_becomes_a_typed_model(tmp_path: Path) -> None:
    text = "name: 나루터\ntraining: {seed: 3}\nsizes: [1, 2]\n"
    expected = Outer(name="나루터", training=Inner(seed=3), sizes=[1, 2])
    assert _load(tmp_path, text) == expected


def test_values_never_change_after_loading(tmp_path: Path) -> None:
    settings = _load(tmp_path, "name: a")
    with pytest.raises(ValidationError, match="frozen"):
        settings.name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name=b", {"name": "b"}),
        ("training.seed=7", {"training": {"seed": 7, "rate": 0.5}}),
        ("training.rate=1.0e-4", {"training": {"seed": 3, "rate": 1e-4}}),
        ("sizes=[4, 5]", {"sizes": [4, 5]}),
        (" name = b=c ", {"name": "b=c"}),
    ],
)
def test_overrides_win(tmp_path: Path, override: str, expected: dict[str, Any]) -> None:
    text = "name: a\ntraining: {seed: 3, rate: 0.5}\n"
    before = _load(tmp_path, text).model_dump()
    assert _load(tmp_path, text, override).model_dump() == {**before, **expected}


def test_an_override_can_make_a_part_that_the_file_lacks(tmp_path: Path) -> None:
    assert _load(tmp_path, "name: a", "training.seed=7").training.seed == 7


def test_the_last_override_wins(tmp_path: Path) -> None:
    assert _load(tmp_path, "name: a", "name=b", "name=c").name == "c"


@pytest.mark.parametrize(
    ("text", "overrides", "says"),
    [
        pytest.param("name: a\nname: b", [], ["'name' occurs twice", "line 1"], id="double key"),
        pytest.param(
            "name: a\ntraining:\n  seed: 1\n  seed: 2",
            [],
            ["'seed' occurs twice"],
            id="double key inside",
        ),
        pytest.param("x: a\nx: b\n1: c\n1: d", [], ["'x' occurs twice"], id="keys of two types"),
        pytest.param("? [a]\n: 1\n? [a]\n: 2", [], ["['a'] occurs twice"], id="double list"),
        pytest.param("name: !!bool maybe", [], ["is not valid YAML"], id="unfit tag"),
        pytest.param("name: a", ["name=!!int ''"], ["not valid YAML"], id="unfit tag given"),
        pytest.param(
            "name: a", ["training={seed: 1, seed: 2}"], ["'seed' occurs twice"], id="double given"
        ),
        pytest.param("name: a\ncolour: red", [], ["run.yaml: colour:", "'red'"], id="unknown key"),
        pytest.param(
            "name: a\ntraining: {sed: 1}", [], ["training.sed:", "(found 1)"], id="unknown inside"
        ),
        pytest.param("sizes: [1]", [], ["name: Field required"], id="missing key"),
        pytest.param("name: a\nsizes: [1, x]", [], ["sizes.1:", "'x'"], id="wrong type"),
        pytest.param(
            "name: a\ntraining: {rate: 0}", [], ["training.rate:", "greater than 0"], id="range"
        ),
        pytest.param("name: [a", [], ["is not valid YAML"], id="bad YAML"),
        pytest.param(
            "name: !!python/object:os.system a", [], ["not valid YAML"], id="a python tag"
        ),
        pytest.param("", [], ["must hold a mapping", "NoneType"], id="empty"),
        pytest.param("- a\n- b", [], ["must hold a mapping", "list"], id="a list"),
        pytest.param("hello", [], ["must hold a mapping", "str"], id="a word"),
        pytest.param("name: a", ["name"], ["--set needs key=value", "'name'"], id="no value"),
        pytest.param("name: a", ["=b"], ["--set needs key=value"], id="no key"),
        pytest.param("name: a", ["training.=b"], ["--set needs key=value"], id="half a key"),
        pytest.param("name: a", ["name.x=b"], ["'name' is a single value"], id="key of a value"),
        pytest.param("name: a", ["training.seed=x"], ["training.seed:", "'x'"], id="set type"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, text: str, overrides: list[str], says: list[str]
) -> None:
    with pytest.raises(BadInputError) as caught:
        _load(tmp_path, text, *overrides)
    for part in says:
        assert part in str(caught.value), str(caught.value)


def _refused(tmp_path: Path, text: str, *overrides: str) -> str:
    with pytest.raises(BadInputError) as caught:
        _load(tmp_path, text, *overrides)
    return str(caught.value).removeprefix(str(tmp_path / "run.yaml"))


@pytest.mark.parametrize("as_overrides", [False, True])
def test_everything_wrong_is_said_at_once(tmp_path: Path, as_overrides: bool) -> None:
    text = "name: a\nstages: [{}, {seed: x}]\n"
    if as_overrides:
        said = _refused(tmp_path, text, "training.rat=0.1", "sizes=7", "name.x=1", "b=[")
    else:
        said = _refused(tmp_path, text + "training: {rat: 0.1}\nsizes: 7\n")
    assert said.endswith(
        ": training.rat: unknown key, did you mean 'rate'? (found 0.1); "
        "sizes: Input should be a valid list (found 7); "
        "stages.1.seed: Input should be a valid integer, unable to parse string as an integer "
        "(found 'x')"
    )
    if as_overrides:
        assert said.startswith("--set 'name.x=1': 'name' is a single value, it has no keys; ")
        assert "; --set 'b=[': the value is not valid YAML; " in said
        assert "run.yaml with --set: " in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("stages: [{sed: 1}]", ["stages.0.sed: ", "mean 'seed'?"], id="in a list"),
        pytest.param("parts: {a: {sed: 1}}", ["parts.a.sed: ", "mean 'seed'?"], id="in a mapping"),
        pytest.param("teacher: {sed: 1}", ["; teacher.sed: ", "mean 'seed'?"], id="in a union"),
        pytest.param("trainin: {}", ["trainin: unknown key, did you mean 'training'?"], id="part"),
        pytest.param("training: {colour: 1}", ["allowed are seed, rate (found 1)"], id="far"),
        pytest.param("1: 2", ["1: Keys should be strings"], id="no word"),
    ],
)
def test_an_unknown_key_comes_with_the_nearest_or_all_that_are_allowed(
    tmp_path: Path, text: str, says: list[str]
) -> None:
    said = _refused(tmp_path, f"name: a\nsizes: x\n{text}")
    for part in says:
        assert part in said


def test_alternatives_are_one_complaint(tmp_path: Path) -> None:
    said = _refused(tmp_path, "name: a\nteacher: 3")
    assert said.count("teacher: ") == said.count("(found 3)") == 1
    assert "instance of Inner or Input should be a valid string" in said


def test_what_concerns_no_single_key_stands_alone(tmp_path: Path) -> None:
    assert _refused(tmp_path, "name: abcdefghijk") == ": the name has 11 letters, allowed are 9"


def test_long_values_are_shortened(tmp_path: Path) -> None:
    said = _refused(tmp_path, f"name: a\nsizes: {'x' * 5000}\nteacher: {list(range(5000))}")
    assert "sizes: Input should be a valid list (found 'xxxx" in said
    assert len(said) < 400


@pytest.mark.parametrize("name", ["none.yaml", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot read config"):
        load(tmp_path / name, Outer)


# Import


@pytest.mark.parametrize(
    "statement",
    [
        "import dnsity",
        "import dnsity; dnsity.BadInputError, dnsity.GistSpec",
        "import dnsity.cli.app",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str) -> None:
    code = (
        f"import sys; {statement}; print(*{{'torch', 'transformers', 'peft'}} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == ""


def test_what_is_no_yaml_is_a_typed_error(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes("seed: 나".encode("cp949"))
    with pytest.raises(BadInputError, match="UTF-8"):
        load(path, Config)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(BadInputError, match="not valid YAML"):
        load(path, Config, ["a=[1"])


def test_a_broken_corpus_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\n{"text"\n', encoding="utf-8")
    with pytest.raises(BadInputError, match="line 2 is not JSON"):
        list(read_documents(path))
