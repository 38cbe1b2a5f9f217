"""The language pack of Korean."""

from __future__ import annotations

import re

from dnsity.data.generators.ko.leads import LEADS
from dnsity.data.generators.ko.prompts import QUESTIONS, SELF_STUDY
from dnsity.data.generators.ko.rules import RULES
from dnsity.data.generators.ko.wording import WORDING
from dnsity.data.generators.language_pack import LanguagePack

PACK = LanguagePack(
    wording=WORDING,
    rules=RULES,
    leads=LEADS,
    questions=QUESTIONS,
    self_study=SELF_STUDY,
    letters=re.compile("[가-힣]+"),
)
