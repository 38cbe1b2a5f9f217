"""Korean grammar of the question rules: what can be blanked, exchanged, listed and asked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dnsity.data.generators.ko.facts import COUNTED, DATE, YEAR, facts, is_count
from dnsity.data.generators.rules.page import BLANK, Rules, Span, whole
from dnsity.data.text.particles import fill, particle

# A sentence that opens with one of these refers to the one before it.
_LEANING = re.compile(
    r"(?:그|그는|그가|그의|그를|그녀\S*|그들\S*|그것\S*|그곳\S*|그중|그때\S*|그해\S*|그러\S*|"
    r"그런\S*|그래\S*|그렇\S*|그리\S*|그리고|그 \S+|이|이는|이가|이를|이의|이에|이것\S*|이곳\S*|"
    r"이들\S*|이때\S*|이러\S*|이런\S*|이렇\S*|이로\S*|이와|이처럼|이후\S*|이어\S*|이듬해\S*|이밖에\S*|이외\S*|이중\S*|"
    r"하지만|또|또한|또는|따라서|한편|당시\S*|여기\S*|즉|특히|반면\S*|결국|다만|단|예를|물론|더욱\S*|"
    r"게다가|왜냐\S*|같은|다음\S*|마침내|자신\S*|본인\S*|다른|나머지\S*|두|세|첫|둘\S*|모두|뒤\S*|후에|"
    r"후일|먼저|우선|마지막\S*|현재|지금\S*|앞서|위\S*|아래\S*|반대로|오히려|사실|실제로|아울러|더불어|"
    r"라는|라고|라며|\d{1,2}월|곧|바로|역시|우리\S*|나\S?|저는|저의|제|내|내가|전자\S*|후자\S*|둘째\S*|셋째\S*|첫째\S*|끝으로)"
    r"(?:,| |$)"
)
_POINTING = re.compile(
    r"(?:^|[\s(])(?:그[는가의를와도]?|그에게|그녀\S*|그들\S*|이들\S*|이것\S*|그것\S*|이곳\S*|그곳\S*|이때\S*|"
    r"그때\S*|해당|이|이는|이가|이것|저|자신\S*|당시\S*|위의|아래\S*|앞의|같은|이듬해\S*|그해\S*|우리\S*|나는|나의|저는|"
    r"이러한|그러한|이런|그런|이와|이에|이를|이로|전술한|상기|후술\S*|다음과|다음의)(?:,| )"
)
_TOPIC = re.compile(r"[가-힣A-Za-z0-9)》〉’”'\"](?:은|는|이|가) ")
# A particle without its word: the word was lost when the text was extracted.
_LOST_WORD = re.compile(
    r"(?:^|\s)(?:은|는|을|를|의|에|와|과|으로|로|에서|및)\s(?!및)|[다요]\.[가-힣A-Z]|\S\(\)|-\s*$"
)
_SPOKEN = re.compile(r"(?:니다|어요|아요|에요|예요|죠|까|네|군)[.?!]")
_ENDINGS = re.compile(
    r"(?:에서는|에서도|에게서|으로는|으로서|으로써|까지는|에서|에게|으로|까지|부터|이라는|라는|처럼|보다|"
    r"하였다|되었다|이었다|했다|됐다|였다|이다|은|는|이|가|을|를|의|에|와|과|도|로|만|며|고)$"
)
_COMMON = frozenset(
    "그리고 있다 있는 있었다 없다 한다 하는 하여 위해 대한 대해 통해 따라 또는 등의 등을 등이 "
    "것으로 것은 것이 것이다 때문에 있으며 되어 된다 했다 하였다 되었다 이후 가장 함께 모든".split()
)
_QUOTED = re.compile(
    r"《([^《》]{2,30})》|〈([^〈〉]{2,30})〉|‘([^‘’]{2,25})’|“([^“”]{2,25})”|\"([^\"]{2,25})\"|'([^']{2,25})'"
)
_GLOSS = re.compile(
    r"(?P<w>[가-힣]+(?: [가-힣]+)*)\((?P<g>[一-龥]+|[A-ZÀ-Þ][\w.'’-]*(?: [\w.'’-]+){0,3})\)"
)
_SWAP_YEAR = re.compile(r"(?<![\d~-])(?<!약 )(?P<n>1\d{3}|20\d\d)년(?=에(?!서)|,| \d{1,2}월)")
_VAGUE = re.compile(r"(?:약|최대|최소|적어도|제|불과|거의|대략|여|무려|각각|매|~|[-–./]) ?$")
_VAGUE_AFTER = re.compile(
    r" ?(?:이상|이하|미만|초과|가량|정도|여 |남짓|안팎|넘|전|후|내|이내|째|중|쯤|~|-|에서 \d|부터|"
    r"까지)"
)
_COUNTRIES = (
    "미국 영국 프랑스 독일 이탈리아 스페인 포르투갈 네덜란드 벨기에 스위스 오스트리아 스웨덴 "
    "노르웨이 덴마크 핀란드 폴란드 헝가리 그리스 터키 러시아 일본 중국 인도 태국 베트남 필리핀 "
    "인도네시아 말레이시아 캐나다 멕시코 브라질 아르헨티나 칠레 페루 콜롬비아 이집트 모로코 케냐 "
    "이스라엘 이란".split()
)
_COUNTRY = re.compile(rf"(?<![가-힣·,] )(?<![가-힣·])(?:{'|'.join(_COUNTRIES)})(?=(?:의|에서|에) )")
_LIST = re.compile(r"(?P<lead>^|\S+ )(?P<items>[^\s,()]+(?:, [^\s,()]+){2,}) 등")
_TITLE_LIST = re.compile(
    r"(?P<items>(?:《[^《》]+》|〈[^〈〉]+〉)(?:, ?(?:《[^《》]+》|〈[^〈〉]+〉)){2,}) ?등"
)
# Text before the first item that is not a part of it.
_LEAD = re.compile(r"(?:^|(?:은|는|에는|에서|으로|인|한|된|의|로서|이|가|을|를) )$")
_LOOSE_ITEM = re.compile(
    r"(?:[을를은는]|[하되시오보이으치]며|[하되시았었였했됐]고|아닌$|^한편|^또한|^특히|^즉|지만|으나|[하되]나|면서|[하되해서어아]서|하여|되어|에서|려고|도록|"
    r"[하되]자|에게|부터|까지|으로|했다)$"
)


def _intact(sentence: str) -> bool:
    return (
        whole(sentence, 20, 170)
        and sentence.endswith("다.")
        and re.match(r"[가-힣A-Z0-9《〈‘“\"']", sentence) is not None
        and not _LOST_WORD.search(sentence)
        and not _SPOKEN.search(sentence[:-1])
        and sentence.count("'") % 2 == 0
    )


def _stands_alone(sentence: str) -> bool:
    return (
        not _LEANING.match(sentence)
        and not _POINTING.search(sentence)
        and _TOPIC.search(sentence) is not None
        and sentence[0] not in "‘“\"'"
    )


def _words(sentence: str) -> list[str]:
    found = []
    for token in re.findall(r"[^\W_]+(?:[.,]\d+)*", sentence.replace(BLANK, " ").casefold()):
        stem = _ENDINGS.sub("", token) if len(token) > 2 else token
        if token not in _COMMON and (len(stem) > 1 or stem.isdigit()):
            found.append(stem)
    return found


def _spans(sentence: str) -> list[Span]:
    """Return maximal spans: without a year inside a date."""
    found = [Span(*m.span(), "date") for m in DATE.finditer(sentence)]
    found += [Span(*m.span("y"), "year") for m in YEAR.finditer(sentence)]
    found += [
        Span(m.start() + 1, m.end() - 1, "term")
        for m in _QUOTED.finditer(sentence)
        if not re.search(
            r"[다요까라는고며서게]$|[할된한]$|[.?!(<〈《]|^[네예]$|^아니", m.group()[1:-1]
        )
    ]
    found += [
        Span(*m.span("n"), "number")
        for m in COUNTED.finditer(sentence)
        if m["n"] != "1" and is_count(sentence, m)
    ]
    for match in _GLOSS.finditer(sentence):
        words = match["w"].split(" ")
        glossed = match["g"].count(" ") + 1
        hanja = "一" <= match["g"][0] <= "龥"
        name = words[len(words) - glossed :]
        cut = any(
            re.search(r"(?:[은는이가을를의로된한인던주시도군구현]|에서)$", word)
            for word in name[:-1]
        )
        joined = re.search(r" (?:and|et|und)\b", match["g"])
        if (
            len(name[-1]) < 2
            or joined
            or len(words) < glossed
            or cut
            or sentence[match.end() :].startswith("(")
        ):
            continue
        # One word of a run of glossed ones, written without a blank between them.
        if sentence[: match.start()].endswith(")") or re.match(
            r"[가-힣]{2,}\(", sentence[match.end() :]
        ):
            continue
        if hanja and len(name[-1]) != len(match["g"]):
            continue
        kind = "name" if glossed > 1 else "term"
        found.append(Span(match.end("w") - len(" ".join(name)), match.end(), kind))
    kept: list[Span] = []
    for span in sorted(found, key=lambda each: (each.start, -each.end)):
        if not any(span.start < other.end and other.start < span.end for other in kept):
            kept.append(span)
    return kept


def _readings(sentence: str, span: Span) -> tuple[str, ...]:
    answer = sentence[span.start : span.end]
    if answer.endswith(")") and "(" in answer:
        return (answer.partition("(")[0], answer)
    if span.kind == "year":
        return (answer, answer.removesuffix("년"))
    counted = COUNTED.match(sentence, span.start)
    return (answer, counted.group()) if counted and span.kind == "number" else (answer,)


def _swaps(sentence: str) -> list[Span]:
    found = [Span(*match.span(), "country") for match in _COUNTRY.finditer(sentence)]
    if re.search(r"[었았였했됐렸졌갔왔났](?:습니)?다\.$", sentence):
        found += [Span(*match.span("n"), "year") for match in _SWAP_YEAR.finditer(sentence)]
    found += [
        Span(*match.span("n"), "number")
        for match in COUNTED.finditer(sentence)
        if re.fullmatch(r"[\d,.]*\d", match["n"])
        and match["n"] != "1"
        and not _VAGUE.search(sentence[: match.start("n")])
        and is_count(sentence, match)
        and not _VAGUE_AFTER.match(sentence[match.end() :])
    ]
    return found


def _replacements(kind: str, sentences: Sequence[str]) -> list[str]:
    del sentences
    return list(_COUNTRIES) if kind == "country" else []


def _swap(sentence: str, span: Span, new: str) -> str:
    """Exchange a span; the particle after it is changed to agree with the new word."""
    behind = sentence[span.end :]
    for pair in ("은/는", "이/가", "을/를", "과/와"):
        if span.kind == "country" and behind[:2] in [f"{form} " for form in pair.split("/")]:
            behind = particle(new, pair) + behind[1:]
            break
    return sentence[: span.start] + new + behind


def _lists(sentence: str) -> list[tuple[str, ...]]:
    """Return lists of titles or words that end in "deung" (and so on)."""
    found = [tuple(re.split(r", ?", match["items"])) for match in _TITLE_LIST.finditer(sentence)]
    for match in _LIST.finditer(sentence):
        items = tuple(match["items"].split(", "))
        bare = all(re.fullmatch(r"[가-힣A-Za-z0-9·-]{2,12}", item) for item in items)
        loose = any(_LOOSE_ITEM.search(item) for item in items)
        if bare and not loose and _LEAD.search(match["lead"]):
            found.append(items)
    return found


RULES = Rules(
    intact=_intact,
    stands_alone=_stands_alone,
    words=_words,
    spans=_spans,
    readings=_readings,
    swaps=_swaps,
    replacements=_replacements,
    swap=_swap,
    facts=facts,
    lists=_lists,
    fill=fill,
    answers=("예", "아니요"),
    dotted_headings=False,
    templates={
        "cloze:number": (
            "글에 나온 다음 문장의 빈칸에 알맞은 수는 무엇입니까? {s}",
            "글에 따르면 다음 문장의 빈칸에 들어갈 수는 얼마입니까? {s}",
        ),
        "cloze:year": (
            "글에 나온 다음 문장의 빈칸에 알맞은 연도는 무엇입니까? {s}",
            "글에 따르면 다음 문장의 빈칸에 들어갈 해는 몇 년입니까? {s}",
        ),
        "cloze:date": (
            "글에 나온 다음 문장의 빈칸에 알맞은 시기는 언제입니까? {s}",
            "글에 따르면 다음 문장의 빈칸에 들어갈 날짜는 언제입니까? {s}",
        ),
        "cloze:name": (
            "글에 나온 다음 문장의 빈칸에 알맞은 이름은 무엇입니까? {s}",
            "글에 따르면 다음 문장의 빈칸에 들어갈 이름은 무엇입니까? {s}",
        ),
        "cloze:term": (
            "글에 나온 다음 문장의 빈칸에 알맞은 말은 무엇입니까? {s}",
            "글에 따르면 다음 문장의 빈칸에 들어갈 말은 무엇입니까? {s}",
        ),
        "yesno": (
            "글에 따르면 다음 설명은 맞습니까? {s}",
            "다음 설명은 글의 내용과 일치합니까? {s}",
            "글의 내용으로 볼 때 다음은 사실입니까? {s}",
        ),
        "title": ("이 글의 제목은 무엇입니까?", "글의 제목을 말해 주십시오."),
        "topic": ("이 글은 주로 무엇에 관한 글입니까?", "이 글이 주로 다루는 대상은 무엇입니까?"),
        "section:of": (
            "글에서 ‘{x}’{이가} 언급되는 부분의 소제목은 무엇입니까?",
            "‘{x}’{은는} 글의 어느 소제목 아래에 나옵니까?",
        ),
        "section:next": (
            "글에서 ‘{x}’ 바로 다음에 오는 소제목은 무엇입니까?",
            "소제목 ‘{x}’ 다음에는 어떤 소제목이 이어집니까?",
        ),
        "list:count": (
            "글에서 {x}부터 {y}까지 나열된 항목은 모두 몇 개입니까?",
            "글에 {x}{으로} 시작해 {y}{으로} 끝나는 목록이 나옵니다. 항목은 모두 몇 개입니까?",
        ),
        "list:next": (
            "글에서 {x}{으로} 시작하는 목록을 볼 때, {y} 바로 다음에 나오는 항목은 무엇입니까?",
            "{x}부터 차례로 나열한 목록에서 {y} 다음 항목은 무엇입니까?",
        ),
    },
)  # fmt: skip
