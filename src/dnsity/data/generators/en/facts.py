"""English fact questions, from sentences with an unambiguous structure.

Precision before recall: a sentence that matches no pattern gives no question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from dnsity.data.generators.rules.page import Fact

_MONTHS = (
    "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
)
DATE = rf"\b(?:{_MONTHS} \d{{1,2}}, \d{{3,4}}|\d{{1,2}} {_MONTHS} \d{{3,4}}|{_MONTHS} \d{{4}})\b"
_DAY = rf"(?:{_MONTHS} \d{{1,2}}, \d{{3,4}}|\d{{1,2}} {_MONTHS} \d{{3,4}})"
_YEAR = r"(?:1\d{3}|20\d\d)"
_CAPITAL = r"[A-ZÀ-ÖØ-ÞŁŠŽČĆĐŐŚŻİ]"
_WORD = rf"(?:{_CAPITAL}\.|{_CAPITAL}[\w'’-]*\w)"
_LINK = r"(?:of the|of|the|de la|de|von|van|da|di|al|le|la|du)"
NAME = rf"{_WORD}(?: (?:{_LINK} )?{_WORD})*"
# Past tense -> the form after "did"; only verbs that describe an event.
_PAST = {
    "became": "become", "began": "begin", "bought": "buy", "built": "build", "came": "come",
    "died": "die", "fell": "fall", "founded": "found", "gained": "gain", "gave": "give",
    "graduated": "graduate", "hosted": "host", "introduced": "introduce", "invaded": "invade",
    "invented": "invent", "issued": "issue", "joined": "join", "launched": "launch",
    "left": "leave", "lost": "lose", "made": "make", "married": "marry", "met": "meet",
    "moved": "move", "opened": "open", "passed": "pass", "proposed": "propose",
    "published": "publish", "purchased": "purchase", "received": "receive",
    "recorded": "record", "released": "release", "resigned": "resign", "retired": "retire",
    "returned": "return", "signed": "sign", "sold": "sell", "started": "start", "took": "take",
    "visited": "visit", "won": "win", "wrote": "write", "accepted": "accept",
    "achieved": "achieve", "adopted": "adopt", "announced": "announce", "appointed": "appoint",
    "completed": "complete", "conquered": "conquer", "created": "create", "defeated": "defeat",
    "discovered": "discover", "established": "establish", "formed": "form",
}  # fmt: skip
# "The act adopted in 1936" has no object and is not a clause; only these verbs need none.
_WITHOUT_OBJECT = frozenset(
    "began came closed died fell opened retired resigned returned graduated moved started".split()
)
_PARTICIPLE = (
    r"(?:first |officially |formally |finally |originally )?"
    r"(?!used\b|based\b|located\b|called\b|named\b|known\b|considered\b|supposed\b|needed\b)"
    r"(?:\w+ed|built|made|won|held|sold|begun|taken|given|written|born|chosen|sent|lost|shot)"
)
_QUOTE = r'"[^"]{2,50}"'
# A name, a thing called by its name, or a title; "the book" alone is not a name.
_SUBJECT = (
    r"(?!(?:When|While|After|Before|As|Since|Until|If|Although|Though|Once|Where|By|At|For|From|"
    r"With|Under|Over|During|On|In|To|Of|Through|Between|All|Only|Not)\b)"
    rf"(?:(?:(?:{NAME} )?(?:[a-z-]+ ){{0,3}}|[Tt]he (?:[a-z-]+ ){{0,4}}){_QUOTE}"
    rf"|(?:[Tt]he|An?|an?) (?:[a-z-]+ ){{0,4}}(?!The\b|An?\b){NAME}(?: [a-z-]+){{0,2}}?"
    rf"|(?!(?:The|An?)\b){_WORD}(?: (?:{_LINK} )?{_WORD})+(?: [a-z-]+){{0,2}}?"
    rf"|(?!(?:The|An?)\b){_WORD})"
)
# The date could belong to a second clause, so a predicate with one of these is not used.
_CLAUSE = re.compile(
    r"\b(?:and|or|but|which|who|whom|that|when|where|while|after|before|until|since|because|if|"
    r"although|though|as|would|had|not|is|was|were|are|\d{3,4})\b|[,;:()\"“”]"
)
_HELPING = re.compile(
    r" (?:was|were|is|are|had|has|also|again|later|then|still|who|that|first|and)\b"
)
_PERSON = re.compile(
    r"\b(?:actor|actress|artist|astronomer|author|baron|biologist|chemist|composer|duke|dancer|"
    r"director|emperor|empress|engineer|explorer|general|guitarist|historian|inventor|journalist|"
    r"king|lawyer|logician|mathematician|monarch|musician|novelist|officer|painter|philosopher|"
    r"physicist|player|poet|politician|pope|president|prince|princess|psychiatrist|queen|scholar|"
    r"scientist|singer|socialite|songwriter|statesman|writer|priest|member|librarian|wife|son|"
    r"daughter|economist|cartoonist|admiral|swimmer|footballer)\b",
    re.IGNORECASE,
)
_MAKERS = {
    "directed": "directed", "written": "wrote", "painted": "painted", "composed": "composed",
    "designed": "designed", "discovered": "discovered", "invented": "invented",
    "illustrated": "illustrated", "translated": "translated", "founded": "founded",
    "succeeded": "succeeded", "assassinated": "assassinated", "portrayed": "portrayed",
}  # fmt: skip

_LIFE = re.compile(rf"(?P<n>{NAME}) \((?:born )?(?P<b>{_DAY}) ?[–-] ?(?P<d>{_DAY})\)(?P<r>.*)")
_BORN_ASIDE = re.compile(rf"(?P<n>{NAME}) \(born (?P<b>{_DAY})\)(?P<r>.*)")
_BORN = re.compile(
    rf"(?P<n>{NAME}) was born (?:on (?P<d>{_DAY}),? )?(?:in|at) (?P<p>{NAME}(?:, {NAME})*)"
    rf"(?:,? (?:in|on) (?P<d2>{_DAY}|{_YEAR}))?[.,]"
)
_WHEN = rf"(?:in|on) (?P<w>{_DAY}|{_MONTHS} {_YEAR}|{_YEAR})"
# What may follow a date that belongs to the verb before it; "and" would bring a second date.
_AFTER = r"(?:\.$|, | (?:by|at|with|when|after|under|as|to|from|in|for|during|through)\b)"
_VERB = rf"(?:was|were|{'|'.join(_PAST)})"
_WHEN_LAST = re.compile(
    rf"(?P<s>{_SUBJECT}) (?P<v>{_VERB})(?P<r>(?: [^ ,;:()]+){{0,9}}?) {_WHEN}(?={_AFTER})"
)
_WHEN_FIRST = re.compile(
    rf"(?:In|On) (?P<w>{_DAY}|{_MONTHS} {_YEAR}|{_YEAR}),? "
    rf"(?P<s>{_SUBJECT}) (?P<v>{_VERB})(?P<r>(?: [^ ,;:()]+){{1,14}})"
    r"(?:\.$|, (?:which|who|where|after|making|becoming|with|when)\b)"
)
_HOLDS = {
    "has": "does", "have": "do", "had": "did", "contains": "does", "contained": "did",
    "comprises": "does", "employs": "does", "employed": "did",
}  # fmt: skip
_BASE = {"contain": "contain", "compris": "comprise", "employ": "employ"}
_NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
_HOLDING = re.compile(
    rf"(?P<s>{_SUBJECT}) (?P<v>{'|'.join(_HOLDS)}) (?:a total of )?(?P<k>{_NUMBER}) "
    r"(?P<o>(?:[a-z-]+ ){0,2}[a-z]+s)(?=\.$|,? (?:and|in|on|at|with|for|from|by|which|of)\b|[,;:] )"
)
_MADE_BY = re.compile(
    rf"(?P<s>{_SUBJECT}) was (?P<v>{'|'.join(_MAKERS)}) by (?P<p>{NAME})(?: in {_YEAR})?\.$"
)
_PEOPLE = re.compile(
    rf"(?P<n>{NAME}) (?P<v>has|had) a population of (?:about |around |approximately )?"
    r"(?P<k>\d[\d,]*\d)(?: (?:people|inhabitants))?[.,;( ]"
)
_CAPITAL_OF = re.compile(
    rf"[Tt]he capital (?:city )?of (?P<n>{NAME}) is (?P<k>{NAME})[.,]"
    rf"|(?P<k2>{NAME}) is the capital (?:city )?(?:and largest city )?of (?P<n2>{NAME})[.,]"
)
_ALIAS = re.compile(
    rf"(?P<n>{NAME}),? (?:is |was )?also (?:known as|called) (?P<k>(?:the )?{NAME})(?:,|\.$)"
)


def facts(sentence: str) -> list[Fact]:
    """Return questions on the facts of a sentence; none if it matches no pattern.

    Args:
        sentence: One sentence, white space flattened.
    """
    return [*_lives(sentence), *_times(sentence), *_others(sentence)]


def _lives(sentence: str) -> Iterator[Fact]:
    life = _LIFE.match(sentence) or _BORN_ASIDE.match(sentence)
    if life and _PERSON.search(life["r"]):
        name = re.sub(r"(?: [A-Z]{2,})+$", "", life["n"])  # orders and degrees after the name
        yield Fact(f"When was {name} born?", life["b"], "fact:date")
        if "d" in life.groupdict():
            yield Fact(f"When did {name} die?", life["d"], "fact:date")
    born = _BORN.match(sentence)
    if born and not re.search(r"\b(?:St|Mt|Ft|Dr)$", born["p"]):
        yield Fact(f"Where was {born['n']} born?", born["p"], "fact:place")
        date = born["d"] or born["d2"]
        if date:
            yield Fact(f"When was {born['n']} born?", date, "fact:date")


def _times(sentence: str) -> Iterator[Fact]:
    match = _WHEN_LAST.match(sentence) or _WHEN_FIRST.match(sentence)
    if not match or _HELPING.search(f" {match['s']}") or _CLAUSE.search(match["r"]):
        return
    subject, verb, rest, when = _inside(match["s"]), match["v"], match["r"], match["w"]
    if re.fullmatch(_YEAR, when):
        ask, kind = "In which year", "fact:year"
    else:
        ask, kind = ("On which date" if re.search(r"\b\d{1,2}\b", when) else "When"), "fact:date"
    if rest.startswith(" born"):
        return
    if verb in ("was", "were") and re.match(rf" {_PARTICIPLE}\b", rest):
        yield Fact(f"{ask} {verb} {subject}{rest}?", when, kind)
    elif verb in _PAST and (rest or verb in _WITHOUT_OBJECT):
        yield Fact(f"{ask} did {subject} {_PAST[verb]}{rest}?", when, kind)


def _inside(subject: str) -> str:
    """Return a subject as it is written inside a sentence."""
    return re.sub(r"^(?:The|An?) ", lambda article: article.group().lower(), subject)


def _others(sentence: str) -> Iterator[Fact]:
    made = _MADE_BY.match(sentence)
    if made and " " in made["p"]:
        yield Fact(f"Who {_MAKERS[made['v']]} {_inside(made['s'])}?", made["p"], "fact:person")
    holding = _HOLDING.match(sentence)
    if holding and not _HELPING.search(f" {holding['s']}"):
        verb = holding["v"]
        base = next((full for stem, full in _BASE.items() if verb.startswith(stem)), "have")
        asked = f"How many {holding['o']} {_HOLDS[verb]} {_inside(holding['s'])} {base}?"
        yield Fact(asked, holding["k"], "fact:number")
    people = _PEOPLE.match(sentence)
    if people:
        ask = "What is" if people["v"] == "has" else "What was"
        yield Fact(f"{ask} the population of {people['n']}?", people["k"], "fact:number")
    capital = _CAPITAL_OF.search(sentence)
    if capital:
        of, city = capital["n"] or capital["n2"], capital["k"] or capital["k2"]
        yield Fact(f"What is the capital of {of}?", city, "fact:place")
    alias = _ALIAS.match(sentence)
    if alias:
        yield Fact(f"By what other name is {_inside(alias['n'])} known?", alias["k"], "fact:name")
