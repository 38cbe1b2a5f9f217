"""The rows of `summary.json`, one per model, task and method."""

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
        difference: Score of the first method minus that of the second.
        low: Lower end of the 95% interval.
        high: Upper end of the 95% interval.
        p: Probability of a difference this large by chance.
    """

    difference: float
    low: float
    high: float
    p: float


class Share(BaseModel):
    """The mean score of a subset of the questions."""

    score: float
    questions: int


class Spread(BaseModel):
    """A median with the 10th and 90th percentile."""

    median: float
    p10: float
    p90: float


class Cost(BaseModel):
    """The costs of a method; medians over the documents or questions it answered.

    Attributes:
        context_tokens: Tokens of a document.
        slots: Slots of the KV cache before a question.
        compression_ratio: Document tokens per slot.
        characters_per_slot: Document characters per slot.
        kv_bytes: Size of the KV cache before a question.
        documents_per_gb: Number of documents whose KV cache fits in a gigabyte.
        ingest_s: Seconds to ingest a document, before any question.
        cold_ttft_s: Time to first token, including the document's ingestion.
        warm_ttft_s: Time to first token for an ingested document.
        tokens_per_second: Decoding speed after the first token.
        peak_bytes: Peak memory above weights and all else in use before a document.
        break_even_questions: Smallest number of questions per document for which the method is
            faster than full context. None if it never is, or without full context.
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
        model: Name of the model.
        task: Name of the task.
        version: Version of the task family.
        metric: Metric that scored the answers.
        method: Method that answered.
        documents: Number of documents.
        questions: Number of questions about all documents.
        failed: Number of documents that the method failed on; their questions count as wrong.
        errors: Examples of the errors.
        noted: Number of documents with a remark, for example that text was left out.
        score: Mean over questions.
        random_guess: Expected score of guessing, for multiple choice.
        gap_recovered: Position of the score between no context (0) and full context (1).
        share_of_full: Score relative to that of full context.
        gist_minus_this: Comparison of the gist's score with this one.
        digits: Share of right digits by position, if answers are numbers.
        by: Scores by label and value, and by kind of question.
        cost: Costs; None if nothing was answered.
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
