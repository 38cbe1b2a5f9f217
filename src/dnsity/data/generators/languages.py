"""The languages that the generators know: one folder and one line each."""

from __future__ import annotations

from collections.abc import Mapping

from dnsity.data.example import Language
from dnsity.data.generators.en.pack import PACK as ENGLISH
from dnsity.data.generators.ko.pack import PACK as KOREAN
from dnsity.data.generators.language_pack import LanguagePack

LANGUAGES: Mapping[Language, LanguagePack] = {
    "en": ENGLISH,
    "ko": KOREAN,
}
