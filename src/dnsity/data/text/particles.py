"""Korean particles that agree with the word before them, and templates that contain them.

A model that is trained on wrong particles ("도서관는") learns them, so every generated sentence
selects its particles by the last sound of the word.
"""

from __future__ import annotations

import re
from typing import Literal

_Final = Literal["vowel", "rieul", "consonant"]

# Digits as read in Sino-Korean: 영 일 이 삼 사 오 육 칠 팔 구. A number that ends in 0 is read
# 십, 백, 천 or 만, which end in a consonant just as 영 does.
_DIGITS: dict[str, _Final] = {
    "0": "consonant",
    "1": "rieul",
    "2": "vowel",
    "3": "consonant",
    "4": "vowel",
    "5": "vowel",
    "6": "consonant",
    "7": "rieul",
    "8": "rieul",
    "9": "vowel",
}
# Letter names that end in a consonant: 엘, 엠, 엔, 알.
_LETTER_NAMES: dict[str, _Final] = {
    "L": "rieul",
    "R": "rieul",
    "M": "consonant",
    "N": "consonant",
}
_HANGUL_FIRST, _HANGUL_LAST, _FINALS, _RIEUL = 0xAC00, 0xD7A3, 28, 8
_ASIDE = re.compile(r"\s*\([^()]*\)$")
_TRAILING = re.compile(r"[^\w%]+$")
_LATIN = re.compile(r"[A-Za-z]+$")
_LATIN_RIEUL = re.compile(r"(?:l|le)$")
_LATIN_CONSONANT = re.compile(r"(?:[mn]e?|ng|(?:^|[^aeiou])[aeiou][ptkcb]|ook)$")

# Template field -> (after a consonant, after a vowel).
_FIELDS = {
    "은는": "은/는",
    "이가": "이/가",
    "을를": "을/를",
    "과와": "과/와",
    "으로": "으로/로",
    "이에요": "이에요/예요",
    "이다": "이다/다",
    "이며": "이며/며",
    "이라": "이라/라",
    "이나": "이나/나",
}
_FIELD = re.compile(r"\{(\w+)\}")


def _latin_final(word: str) -> _Final:
    """Return the last sound of a Latin-letter word in its usual Korean pronunciation."""
    if len(word) == 1 or word.isupper():
        return _LETTER_NAMES.get(word[-1].upper(), "vowel")
    lower = word.lower()
    if _LATIN_RIEUL.search(lower):
        return "rieul"
    return "consonant" if _LATIN_CONSONANT.search(lower) else "vowel"


def _final_sound(word: str) -> _Final:
    """Return the last sound of a word when it is spoken, without an aside in brackets."""
    spoken = _TRAILING.sub("", _ASIDE.sub("", word))
    if not spoken:
        return "vowel"
    last = spoken[-1]
    if _HANGUL_FIRST <= ord(last) <= _HANGUL_LAST:
        final = (ord(last) - _HANGUL_FIRST) % _FINALS
        return "vowel" if final == 0 else "rieul" if final == _RIEUL else "consonant"
    if last in _DIGITS:
        return _DIGITS[last]
    if any(sign.isdigit() for sign in spoken.split()[-1]):  # 5ab is spelled out: 오에이비
        return _LETTER_NAMES.get(last.upper(), "vowel")
    latin = _LATIN.search(spoken)
    return _latin_final(latin.group()) if latin else "vowel"


def particle(word: str, pair: str) -> str:
    """Return the form of a particle that fits the last sound of a word.

    Args:
        word: The word before the particle: Hangul, digits or Latin letters.
        pair: Both forms, the one after a consonant first, e.g. ``"은/는"`` or ``"으로/로"``.

    Returns:
        The form, without the word.

    Raises:
        ValueError: If `pair` is not two forms separated by a slash.
    """
    after_consonant, slash, after_vowel = pair.partition("/")
    if not (after_consonant and slash and after_vowel):
        raise ValueError(f"expected two forms such as '은/는', got {pair!r}")
    final = _final_sound(word)
    if final == "rieul":  # 으로/로 alone (and 으로서, 으로부터) treats ㄹ as a vowel
        return after_vowel if after_consonant.startswith("으로") else after_consonant
    return after_consonant if final == "consonant" else after_vowel


def fill(template: str, **values: str) -> str:
    """Fill a template in which particles are fields: ``"{e}{은는} 쉽니다."``.

    A particle field depends on the text filled so far, so it also works after plain words.

    Args:
        template: Text with ``{name}`` fields; 은는, 이가, 을를, 과와, 으로, 이에요, 이다, 이며,
            이라 and 이나 are particles.
        **values: Texts of the other fields.

    Raises:
        KeyError: If a field is neither a particle nor among `values`.
    """
    text, at = "", 0
    for field in _FIELD.finditer(template):
        text += template[at : field.start()]
        name = field.group(1)
        text += particle(text, _FIELDS[name]) if name in _FIELDS else values[name]
        at = field.end()
    return text + template[at:]
