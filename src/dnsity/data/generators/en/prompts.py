"""English questions on a document itself, and prompts of self-study."""

from __future__ import annotations

from dnsity.data.generators.language_pack import DocumentQuestions, SelfStudyPrompts

QUESTIONS = DocumentQuestions(
    not_found="not in the document",
    filler=(
        "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."
    ),
    quote=(
        'What comes after "{cue}"?',
        'How does the text go on after "{cue}"?',
        'Which words follow "{cue}"?',
    ),
    from_cue=(
        'Repeat word for word the text that follows "{cue}".',
        'Copy out the document from right after "{cue}".',
        'Start right after "{cue}" and write the text out exactly as it stands.',
        'Please quote the passage that comes after "{cue}" without changing a word.',
    ),
    from_start=(
        "Repeat the text from the beginning, word for word.",
        "How does the document begin? Give its exact words.",
        "Write out the opening of the text exactly as it stands.",
        "Please recite the document from the start without changing a word.",
    ),
    continuation=(
        "Continue the text.",
        "The text breaks off in the middle. How does it go on?",
        "Write what comes next in the document.",
        "Please carry on from where the text stops.",
    ),
    article={
        "title": "What is the title of this article?",
        "topic": "What is this article about? Say in a few words what it is, not its name.",
        "lead": "With which sentence does this article open? Write ____ for its subject.",
        "part": "In which third of this article does the following sentence stand, the first, "
        "the second or the last? {x}",
        "summary": "Summarise this article in one sentence.",
        "yes_no": 'Is this article about "{x}"? Answer Yes or No.',
    },
    thirds=("the first third", "the second third", "the last third"),
    pair_sentences=(
        "{k}: {v}.",
        "{k} is {v}.",
        "{k} has {v}.",
        "{v} belongs to {k}.",
        "{v} is for {k}.",
    ),
    pair_questions=("{k}?", "What is {k}?", "What belongs to {k}?", "What is given for {k}?"),
)
SELF_STUDY = SelfStudyPrompts(
    frame=(
        "Read the text and write {count} questions about it with their answers, in English.\n"
        "{task}\n"
        "Every question must be understandable on its own, name what it asks about, and have "
        "exactly one right answer, which the text gives. Do not refer to 'the passage above'.\n"
        "Write one JSON object a line and nothing else:\n"
        '{{"question": "...", "answer": "..."}}\n\n'
        "{title}Text:\n{text}\n"
    ),
    title="Title: {title}\n\n",
    tasks={
        "factual": "Each asks for one detail of the text: a name, number, date, place or term. "
        "The answer is copied from the text and as short as possible.",
        "structuring": "Each asks to put information of the text in order: as a list, a table in "
        "one line or a JSON object. The answer is that structure, written in one line.",
        "summary": "Each asks to sum up one part of the text or all of it; say which. The answer "
        "is one to three sentences.",
        "use_case": "Each comes from somebody who wants to do something with the text: apply a "
        "rule of it to their case, decide, plan. The answer follows from the text alone.",
        "multi_fact": "Each can only be answered by joining two or more facts from different "
        "places in the text: comparing, counting, ordering. The answer is short.",
    },
)
