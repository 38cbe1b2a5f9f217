"""Korean fact questions: the sentence itself, with the fact replaced by a question word.

Korean asks in place: "1991년에 데뷔하였다" becomes "몇 년에 데뷔하였습니까?" without moving a word,
which keeps the question true to the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dnsity.data.generators.rules.page import Fact
from dnsity.data.text.particles import fill

DATE = re.compile(r"(?<![\d~–-])\d{3,4}년 \d{1,2}월(?: \d{1,2}일)?(?! ?[\d~–-])")
YEAR = re.compile(
    r"(?<![\d~–.-])(?P<y>\d{3,4}년)(?=에 |, | [가-힣A-Z《〈])"
    r"(?! ?(?:간|대|동안|전|후|뒤|만에|경|\d))"
)
_ANY_DATE = re.compile(r"\d{1,2}월|\d{3,4}년|\d{1,2}일|\d세기")
_COUNTERS = (
    "명|번|개국|개월|개|대(?!대)|권|편|회|곳|종|마리|척|세(?!기)|위|집|장|점|골|경기|킬로미터|"
    "미터|km²|km|m²|m|cm|mm|kg|톤|마력|퍼센트|%|년간|석|표|자루|가구|층|쪽"
)
COUNTED = re.compile(
    r"(?<![\w.,/~–-])(?P<n>(?:\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)(?:만|억|조)?)(?P<gap> ?)"
    rf"(?P<c>{_COUNTERS})(?![A-Za-z\d²³/~–-])"
)
# Numbers that name something rather than count it: Heinrich IV, volume 3, the 400 m relay.
_NAMING_BEFORE = re.compile(r"(?:제|종|정|훈|헌법|번) ?$")
_NAMING_BEHIND = {
    "세": re.compile(r"(?!)"),
    "m": re.compile(r" ?[가-힣]{2}"),
    "권": re.compile(r"[은는]|에서|부터|까지| (?!의|을|이)"),
    "회": re.compile(r"[를을]? ?[은는졸대]|말|초"),
    "집": re.compile(r"[가-힣]{2}"),
    "위": re.compile(r" [가-힣A-Z\d]"),
    "대": re.compile(r" [가-힣\d]"),
    "번": re.compile(r"[째지길]| "),
}
_SUBJECT = re.compile(r"(?P<t>[^,]{2,40}?)(?:은|는|이|가) ")
_BEHIND_COUNTER = re.compile(
    r"(?:[은는이가을를의에로과와도]|으로|에서|까지|부터|만|이다|이었|였|입)|[ .]|$"
)
_CONNECTED = re.compile(
    # After a tensed verb a second main clause begins, and the question word would miss one.
    r"[었았였했됐렸졌갔왔났섰겼쳤있](?:고|으며|으나|지만) |[하되]고 |태어나(?:서)? |"
    r"기로 (?:계획|결정|합의|약속|예정)| (?:전|때|후|뒤)(?:까지|에|부터)? |"
    r"(?:고|며|나|자|만|서|여|데|면|려|아|어|해|듯이|다가|니|뒤|후|때|중), "
)
_NO_EVENT = re.compile(r"[있겠없](?:습니)?다\.$|기도 (?:했|하였)다\.$")
# A noun with the mark of the subject; verbs and adjectives that end alike are left out.
_DOER = re.compile(
    r"[가-힣A-Za-z)》〉]"
    r"(?<![하되있없지오리시치키많같높낮작받얻좋남듣먹읽쓰보주찾믿않다라맡알르것수점])"
    r"(?:[은이가]|(?<![에서로])는) "
)
_ADNOMINAL = re.compile(r"(?:[된한던인린진할될려온간난]|[하되있없지는]는) ")
_VAGUE_AFTER = re.compile(
    r" ?(?:이상|이하|미만|초과|가량|정도|여|[이을를]? ?넘|남짓|안팎|중|째|전|후|뒤|만에|차|급|대)"
)
_LIFE = re.compile(
    r"(?P<n>[가-힣A-Za-z]+(?:[ ·][가-힣A-Za-z]+)*)\((?:[^()]*?, ?)?"
    r"(?P<b>\d{3,4}년 \d{1,2}월 \d{1,2}일)"
    r"(?:\([^()]*\))? ?[~∼～–-] ?(?P<d>\d{3,4}년 \d{1,2}월 \d{1,2}일)?[^()]*\)(?P<r>.*)"
)
_PERSON = re.compile(
    r"(?:배우|가수|정치인|정치가|선수|군인|작가|소설가|시인|화가|학자|교수|감독|음악가|작곡가|독립운동가|"
    r"언론인|법조인|판사|검사|기업인|의사|승려|목사|신부|교황|국왕|황제|왕비|왕|장군|제독|모델|성우|"
    r"철학자|대통령|총리|귀족|혁명가|운동가|투수|인물|사람)(?:이다|이며|이자|였|이었|로|으로|으로서|이고|,)"
)
_BIRTHPLACE = re.compile(
    r"(?P<t>[^,\d]{2,25}?)(?:은|는) (?:\d{3,4}년(?: \d{1,2}월(?: \d{1,2}일)?)?(?:에)?,? )?"
    r"(?P<p>[가-힣]+(?: [가-힣]+){0,3})에서 (?:태어났다|출생했다|출생하였다)\.$"
)
_PLACE_WORD = re.compile(r".*(?<![을를의로와과며고서])$")
_NAMED = re.compile(
    r"(?P<t>[^,]{4,50}[가-힣])(?:은|는) "
    r"(?P<a>《[^《》]+》|〈[^〈〉]+〉|‘[^‘’]+’|“[^“”]+”|\d[\d-]{2,}\d)"
    r"(?:이다|입니다)\.$"
)
_LONGEST = 80
_HANGUL_FIRST, _FINALS, _NIEUN, _BIEUP, _SSANGSIOT = 0xAC00, 28, 4, 17, 20


def facts(sentence: str) -> list[Fact]:
    """Return questions on the facts of a sentence; none if it matches no pattern.

    Args:
        sentence: One sentence, white space flattened.
    """
    return [*_lives(sentence), *_in_place(sentence)]


def ask(statement: str) -> str | None:
    """Turn a plain statement into a polite question: "했다." -> "했습니까?".

    Returns:
        The question, or None where the ending is none of the regular ones.
    """
    if statement.endswith("니다."):
        return statement[:-2] + "까?"
    if statement.endswith("이다."):
        return statement.removesuffix("이다.") + "입니까?"
    if not statement.endswith("다.") or len(statement) < 3:
        return None
    stem, code = statement[:-3], ord(statement[-3]) - _HANGUL_FIRST
    if not 0 <= code < 11172 or statement.endswith("는다."):  # 11,172 syllables in the block
        return None
    final = code % _FINALS
    if final == _SSANGSIOT:
        return f"{statement[:-2]}습니까?"
    if final == _NIEUN:  # 한다 -> 합니까: the final moves from n to b
        return f"{stem}{chr(_HANGUL_FIRST + code - _NIEUN + _BIEUP)}니까?"
    return None


def _lives(sentence: str) -> Iterator[Fact]:
    life = _LIFE.match(sentence)
    if life and _PERSON.search(life["r"]):
        yield Fact(fill("{n}{은는} 언제 태어났습니까?", n=life["n"]), life["b"], "fact:date")
        if life["d"]:
            yield Fact(fill("{n}{은는} 언제 사망했습니까?", n=life["n"]), life["d"], "fact:date")
    born = _BIRTHPLACE.match(sentence)
    if born and all(_PLACE_WORD.match(word) for word in born["p"].split()):
        question = fill("{n}{은는} 어디에서 태어났습니까?", n=born["t"])
        yield Fact(question, born["p"], "fact:place")
    named = _NAMED.match(sentence)
    if named:
        question = fill("{t}{은는} 무엇입니까?", t=named["t"])
        if named["a"][0].isdigit():
            yield Fact(question, named["a"], "fact:number")
        else:
            yield Fact(question, named["a"], "fact:name", (named["a"][1:-1],))


def is_count(sentence: str, match: re.Match[str]) -> bool:
    """Return whether a match of `COUNTED` counts or measures something, and is not a name."""
    before, behind = sentence[: match.start()], sentence[match.end() :]
    naming = _NAMING_BEHIND.get(match["c"])
    if match["c"] == "세" and len(match["n"]) < 2:  # Ludwig II, not a child of two
        return False
    whole_word = _BEHIND_COUNTER.match(behind) or re.match(
        r"[,)]|씩|당|쯤|차|째|간|여|이상|이하", behind
    )
    named = _NAMING_BEFORE.search(before) or (naming and naming.match(behind))
    return bool(whole_word) and not named


def _in_place(sentence: str) -> Iterator[Fact]:
    """Replace the only date, or one counted number, by its question word."""
    question = ask(sentence)
    subject = _SUBJECT.match(sentence)
    if (
        question is None
        or len(sentence) > _LONGEST
        or _CONNECTED.search(sentence)
        or _NO_EVENT.search(sentence)
    ):
        return
    if not sentence.endswith("이다."):
        yield from _dates(sentence, question)
    counted = list(COUNTED.finditer(sentence))
    for match in counted:
        if sum(other["c"] == match["c"] for other in counted) > 1 or match["n"] == "1":
            continue
        before, behind = sentence[: match.start()], sentence[match.end() :]
        vague = _VAGUE_AFTER.match(behind) or re.search(r"(?:각각|불과|~|또는) ?$", before)
        led = subject and subject.end() <= match.start() and _DOER.search(subject.group())
        fits = _BEHIND_COUNTER.match(behind) and is_count(sentence, match)
        if led and fits and not vague:
            asked = f"{question[: match.start()]}몇 {match['c']}{question[match.end() :]}"
            yield Fact(asked, match.group(), "fact:number", (match["n"],))


def _dates(sentence: str, question: str) -> Iterator[Fact]:
    dates = list(DATE.finditer(sentence))
    spans = [match.span() for match in dates] or [m.span("y") for m in YEAR.finditer(sentence)]
    if len(spans) != 1:
        return
    start, end = spans[0]
    answer, behind = sentence[start:end], question[end:]
    # A round "100 years" is a length of time, and a date deep inside may belong to another verb.
    led = not start or re.fullmatch(r"[^,]{1,24}(?<![하되있없지오리])[은는] ", sentence[:start])
    if _ANY_DATE.search(sentence[:start] + "|" + sentence[end:]) or answer.endswith("00년"):
        return
    # Text in brackets has no function in the sentence.
    near = re.sub(r"\([^()]*(?:\)|$)", lambda aside: "·" * len(aside.group()), sentence[end:])[:30]
    doer = _DOER.search(sentence[:30] if start else near)
    if not led or not doer or _ADNOMINAL.search(near[: 12 if start else doer.start()]):
        return
    if not start and _ADNOMINAL.search(near[doer.end() :].partition(" ")[0] + " "):
        return  # the doer of a clause inside: "the right that hung on the last match"
    kind, word = ("fact:date", "언제") if dates else ("fact:year", "몇 년에")
    tail = re.match(r"에는 |에 |, |(?P<kept>부터 |까지 )", behind)
    if tail:
        word = word.removesuffix("에") if tail["kept"] else word
        rest = behind[tail.end() :]
        yield Fact(f"{question[:start]}{word}{tail['kept'] or ' '}{rest}", answer, kind)
    elif dates and answer.endswith("일") and re.match(r" [^의]", behind):
        yield Fact(f"{question[:start]}{word}{behind}", answer, kind)
