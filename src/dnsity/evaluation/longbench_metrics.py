"""The metrics of LongBench v1 (Bai et al., 2308.14508), 0..1, as in its eval.py.

They keep the quirks of the official script, so that scores compare with published ones. The
packages they need (rouge, and jieba for Chinese) are imported when first used.
"""

from __future__ import annotations

import re
import string
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache, partial
from importlib import import_module
from typing import Any

from dnsity.data.readers.longbench import TASKS
from dnsity.errors import BadInputError

FIRST_LINE_ONLY = frozenset({"trec", "triviaqa", "samsum", "lsht"})
"""Few-shot tasks: after its answer, a model continues with further examples."""

PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_CHINESE_PUNCTUATION = PUNCTUATION.union(
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】",  # noqa: RUF001
    "〔〕〖〗〘〙〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏",  # noqa: RUF001
)


def score(
    dataset: str, prediction: str, answers: Iterable[str], all_classes: Sequence[str] = ()
) -> float:
    """Score a prediction as the official script does.

    Args:
        dataset: A name in `data.readers.longbench.TASKS`; determines the metric.
        prediction: The generated text, including surrounding white space.
        answers: The gold answers; the best match counts.
        all_classes: The classes of a classification task, from its records.

    Raises:
        BadInputError: If a classification task has no classes, if the answer of a retrieval task
            names no paragraph, or if a package is missing.
    """
    if dataset in FIRST_LINE_ONLY:
        prediction = prediction.lstrip("\n").split("\n")[0]
    name = TASKS[dataset].metric
    metric = _METRICS.get(name) or partial(classification, classes=all_classes)
    return max(metric(prediction, answer) for answer in answers)


def bag_f1(given: Iterable[str], wanted: Iterable[str]) -> float:
    """Return the F1 of two bags of words or characters."""
    left, right = Counter(given), Counter(wanted)
    common = (left & right).total()
    return 2 * common / (left.total() + right.total()) if common else 0.0


def qa_f1(prediction: str, gold: str) -> float:
    """Return the token F1 of SQuAD v1.1: case, punctuation and English articles do not count."""

    def words(text: str) -> list[str]:
        plain = "".join(sign for sign in text.lower() if sign not in PUNCTUATION)
        return _ARTICLES.sub(" ", plain).split()

    return bag_f1(words(prediction), words(gold))


def qa_f1_zh(prediction: str, gold: str) -> float:
    """Return the token F1 over the words that jieba finds, without punctuation."""

    def words(text: str) -> list[str]:
        plain = (
            "".join(
                sign
                for sign in word.lower()
                if sign not in _CHINESE_PUNCTUATION and not sign.isspace()
            )
            for word in _chinese_words(text)
        )
        return [word for word in plain if word]

    return bag_f1(words(prediction), words(gold))


def rouge(prediction: str, gold: str) -> float:
    """Return ROUGE-L F1 as the rouge package computes it.

    The package counts each word once, ends sentences at a dot, and recurses once per word. A
    sentence longer than Python's recursion limit would score 0 or not, depending on the depth of
    the caller, so the limit is raised here. This is the one difference from the official script.
    It takes effect for two sentences of 1,000 words together. LongBench allows answers of 512
    tokens, and no known reference has a sentence of 200 words.
    """
    scorer = _library("rouge").Rouge(metrics=["rouge-l"])
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(limit + len(prediction.split()) + len(gold.split()))
    try:
        return float(scorer.get_scores([prediction], [gold], avg=True)["rouge-l"]["f"])
    except ValueError:  # one of the texts is empty, or dots only
        return 0.0
    finally:
        sys.setrecursionlimit(limit)


def rouge_zh(prediction: str, gold: str) -> float:
    """Return `rouge` over the words that jieba finds."""
    return rouge(" ".join(_chinese_words(prediction)), " ".join(_chinese_words(gold)))


def classification(prediction: str, gold: str, classes: Sequence[str]) -> float:
    """Return 1 / the number of classes that the prediction names, if the right one is among them.

    A class whose name is part of the right one does not count.

    Raises:
        BadInputError: If there are no classes.
    """
    if not classes:
        raise BadInputError("a classification task needs all_classes, the record has none")
    named = [name for name in classes if name in prediction]
    for name in named:
        if name in gold and name != gold:
            # As in the official script, although it skips the name after the removed one.
            named.remove(name)
    return 1 / len(named) if gold in named else 0.0


def count(prediction: str, gold: str) -> float:
    """Return the share of the numbers in the prediction that are right."""
    numbers = re.findall(r"\d+", prediction)
    return numbers.count(gold) / len(numbers) if numbers else 0.0


def retrieval(prediction: str, gold: str, label: str = "Paragraph ") -> float:
    """Return `count` for the paragraph number, which follows a label in the gold answer.

    Raises:
        BadInputError: If the gold answer names no paragraph.
    """
    found = re.search(rf"{label}(\d+)", gold)
    if not found:
        raise BadInputError(
            f"the answer of a retrieval task is {label!r} and a number, found {gold!r}"
        )
    return count(prediction, found[1])


def code_sim(prediction: str, gold: str) -> float:
    """Return the similarity of the first line that is no comment or markup, in whole per cent.

    This is the ratio of fuzzywuzzy without its C extension, which the official script uses.
    """
    lines = prediction.lstrip("\n").split("\n")
    code = (line for line in lines if not any(sign in line for sign in ("`", "#", "//")))
    return round(100 * SequenceMatcher(None, next(code, ""), gold).ratio()) / 100


_METRICS: Mapping[str, Callable[[str, str], float]] = {
    "qa_f1": qa_f1,
    "qa_f1_zh": qa_f1_zh,
    "rouge": rouge,
    "rouge_zh": rouge_zh,
    "count": count,
    "retrieval": retrieval,
    "retrieval_zh": partial(retrieval, label="段落"),
    "code_sim": code_sim,
}
"""Metrics by name, except classification, which also needs the classes."""


def _library(name: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # jieba's source has escapes that Python warns of
            return import_module(name)
    except ImportError as error:
        raise BadInputError(
            f"this metric needs the {name} package: pip install dnsity[eval]"
        ) from error


def _chinese_words(text: str) -> list[str]:
    return list(_segmenter().cut(text))


@cache
def _segmenter() -> Any:
    """Load jieba's segmenter without its log messages and its cache file."""
    segmenter = _library("jieba").Tokenizer()
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter
