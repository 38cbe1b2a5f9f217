"""The language pack of English."""

from __future__ import annotations

import re

from dnsity.data.generators.en.leads import LEADS
from dnsity.data.generators.en.prompts import QUESTIONS, SELF_STUDY
from dnsity.data.generators.en.rules import RULES
from dnsity.data.generators.en.wording import WORDING
from dnsity.data.generators.language_pack import LanguagePack

PACK = LanguagePack(
    wording=WORDING,
    rules=RULES,
    leads=LEADS,
    questions=QUESTIONS,
    self_study=SELF_STUDY,
    letters=re.compile("[A-Za-z]+"),
)
