"""The rows of `summary.json`: one for each model, task and method."""

from __future__ import annotations

from pydantic import BaseModel


class Interval(BaseModel):
    """A value and its 95% interval."""

    value: float
    low: float
    high: float


class Comparison(BaseModel):
    """A difference of mean scores on the same documents.

    Attributes:
        difference: The one method's score minus the other's.
        low: Of its 95% interval.
        high: Of its 95% interval.
        p: How often chance alone gives a difference as large.
    """

    difference: float
    low: float
    high: float
    p: float


class Share(BaseModel):
    """The score of a part of the questions."""

    score: float
    questions: int


class Spread(BaseModel):
    """A median, and the 10th and 90th percentile."""

    median: float
    p10: float
    p90: float


class Cost(BaseModel):
    """What a method took; medians over what was answered.

    Attributes:
        context_tokens: Tokens of a document.
        slots: Slots of key/value cache before a question.
        compression_ratio: Document tokens per slot.
        characters_per_slot: Document characters per slot.
        kv_bytes: Keys and values before a question.
        documents_per_gb: How many documents' keys and values a gigabyte holds.
        ingest_s: Seconds before any question is known.
        cold_ttft_s: Seconds from the document to the first token of the first answer.
        warm_ttft_s: Seconds from a question to the first token, the document being ingested.
        tokens_per_second: Of decoding, behind the first token.
        peak_bytes: Memory taken at most, beyond weights and all else in use before a document.
        break_even_questions: From so many questions on a document ingesting it once is faster than
            full context; None: it never is, or there is no full context to compare with.
    """

    context_tokens: float
    slots: float
    compression_ratio: float | None
    characters_per_slot: float | None
    kv_bytes: float
    documents_per_gb: float | None
    ingest_s: float
    cold_ttft_s: Spread
    warm_ttft_s: Spread
    tokens_per_second: float | None
    peak_bytes: float
    break_even_questions: int | None


class Row(BaseModel):
    """One model, task and method.

    Attributes:
        model: As configured.
        task: Its name.
        version: Of its family.
        metric: How answers were scored.
        method: How they were made.
        documents: How many.
        questions: On all of them.
        failed: Documents that could not be answered; their questions count as wrong.
        errors: Some of the reasons.
        noted: Documents a reader should know something about, such as that text was left out.
        score: Mean over questions.
        random_guess: What guessing scores, in multiple choice.
        gap_recovered: Where the score lies between no context (0) and full context (1).
        share_of_full: The score as a share of full context's.
        gist_minus_this: The gist's score against this one's.
        digits: Share of right digits by position, where answers are numbers.
        by: Scores by label and value, and by what was asked for.
        cost: None if nothing was answered.
    """

    model: str
    task: str
    version: int
    metric: str
    method: str
    documents: int
    questions: int
    failed: int
    errors: list[str]
    noted: int
    score: Interval
    random_guess: float | None
    gap_recovered: Interval | None
    share_of_full: Interval | None
    gist_minus_this: Comparison | None
    digits: list[float] | None
    by: dict[str, dict[str, Share]]
    cost: Cost | None
