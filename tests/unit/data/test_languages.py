"""A language is one folder and one line in the registry; the generators name no language."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from dnsity.data.example import Language
from dnsity.data.generators import languages
from dnsity.data.generators.en.pack import PACK as ENGLISH
from dnsity.data.generators.language_pack import LanguagePack

FOLDER = Path(languages.__file__).parent


def test_every_language_has_a_folder_and_a_pack() -> None:
    assert set(languages.LANGUAGES) == set(get_args(Language))
    for language in languages.LANGUAGES:
        assert (FOLDER / language / "pack.py").is_file()


def test_no_generator_depends_on_a_certain_language() -> None:
    names = "|".join(get_args(Language))
    shared = [*FOLDER.glob("*.py"), *FOLDER.glob("rules/*.py"), *FOLDER.glob("self_study/*.py")]
    for path in shared:
        if path.name != "languages.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(rf'language [!=]= "(?:{names})"|"(?:{names})": ', text), path


@pytest.mark.parametrize("language", get_args(Language))
def test_packs_provide_the_same_questions_and_prompts(language: Language) -> None:
    pack: LanguagePack = languages.LANGUAGES[language]
    assert pack.rules.templates.keys() == ENGLISH.rules.templates.keys()
    assert pack.questions.article.keys() == ENGLISH.questions.article.keys()
    assert pack.self_study.tasks.keys() == ENGLISH.self_study.tasks.keys()
    assert pack.wording.groups.keys() == ENGLISH.wording.groups.keys()
    assert {kind.name for kind in pack.wording.kinds} == {
        kind.name for kind in ENGLISH.wording.kinds
    }
