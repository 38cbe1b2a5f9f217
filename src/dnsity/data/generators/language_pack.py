"""What a language has to provide for the generators; one `LanguagePack` per language."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dnsity.data.generators.rules.page import Rules
from dnsity.data.generators.wording import Wording


@dataclass(frozen=True, slots=True)
class Opening:
    """The opening sentence of an article.

    Attributes:
        sentence: The sentence without asides in brackets.
        blanked: The same with a blank for the subject.
        definition: What the subject is said to be, up to the first addition.
    """

    sentence: str
    blanked: str
    definition: str


@dataclass(frozen=True, slots=True)
class LeadGrammar:
    """How encyclopedia articles in a language open.

    Attributes:
        characters: Fewest and most characters of an opening sentence.
        pattern: Matches it; its groups are `before`, `subject` and `definition`, and any that
            `define` needs.
        define: Turns a match into an opening; None if it does not define its subject.
        title_letters: Fewest letters of a word that gives a title away.
        word_pattern: Regular expression for one word of a title in a sentence.
    """

    characters: tuple[int, int]
    pattern: re.Pattern[str]
    define: Callable[[re.Match[str]], Opening | None]
    title_letters: int
    word_pattern: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class DocumentQuestions:
    """Templates of questions on a document itself, and of pairs of words.

    Attributes:
        not_found: The answer to a question that the document does not answer.
        filler: A few sentences that are repeated as an easy haystack.
        quote: Ask for the words after `{cue}`.
        from_cue: Ask for the text after `{cue}`.
        from_start: Ask for the beginning of the text.
        continuation: Ask for what follows the document.
        article: Questions on an article by kind, see `articles`.
        thirds: Names of the three thirds of a document.
        pair_sentences: State that the value of key `{k}` is `{v}`.
        pair_questions: Ask for the value of `{k}`.
    """

    not_found: str
    filler: str
    quote: tuple[str, ...]
    from_cue: tuple[str, ...]
    from_start: tuple[str, ...]
    continuation: tuple[str, ...]
    article: Mapping[str, str]
    thirds: tuple[str, str, str]
    pair_sentences: tuple[str, ...]
    pair_questions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SelfStudyPrompts:
    """Prompts that make a model write questions on a text.

    Attributes:
        frame: The prompt, with `{count}`, `{task}`, `{title}` and `{text}`.
        title: The line of the title, with `{title}`.
        tasks: What questions are wanted, by prompt type.
    """

    frame: str
    title: str
    tasks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LanguagePack:
    """Everything that the generators know of one language.

    Attributes:
        wording: Sentences, questions and names of needles.
        rules: Grammar of the questions that are made by rules.
        leads: Grammar of the opening sentences of articles.
        questions: Questions on a document itself.
        self_study: Prompts of self-study.
        letters: Matches a run of the language's letters.
    """

    wording: Wording
    rules: Rules
    leads: LeadGrammar
    questions: DocumentQuestions
    self_study: SelfStudyPrompts
    letters: re.Pattern[str]
