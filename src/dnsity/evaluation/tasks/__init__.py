"""Task families; each file documents prompt, split, limit, metric, version and changes."""

from __future__ import annotations

from typing import TypeAlias

from dnsity.evaluation.tasks.exams import Exam
from dnsity.evaluation.tasks.longbench import LongBench
from dnsity.evaluation.tasks.niah import Niah
from dnsity.evaluation.tasks.own import Own
from dnsity.evaluation.tasks.qa import Qa
from dnsity.evaluation.tasks.understanding import Understanding

AnyFamily: TypeAlias = Niah | LongBench | Qa | Understanding | Exam | Own
