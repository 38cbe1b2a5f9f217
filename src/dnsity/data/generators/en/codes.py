"""English sentences and questions for passkeys, access codes and other values without meaning."""

from __future__ import annotations

from dnsity.data.generators.en import values
from dnsity.data.generators.wording import Kind, PasskeyWording, code_value, uuid_value

_ALL = ("venue", "office", "project", "system", "place")
_PLACES = ("venue", "office", "place")
_CODES = "access code;access code;passkey;password;PIN;security code".split(";")
_CODE_SENTENCES = (
    "The {n} for {e} is {v}.",
    "Staff use the {n} {v} for {e}.",
    "Since the last audit, the {n} for {e} has been {v}.",
    "The {n} issued for {e} was changed to {v}.",
    "The {n} of {e} is {v}.",
    "The {n} that opens {e} is {v}.",
    "{v} is the {n} of {e}.",
    "For {e}, the {n} is {v}.",
    "{e} has a new {n}: {v}.",
    "{e} uses {v} as its {n}.",
    "At {e} the {n} {v} is in force.",
    "Visitors to {e} are given the {n} {v}.",
    "The manager of {e} chose {v} as {n}.",
    "Under the new rules, {e} requires {v} as the {n}.",
    "The {n} in use at {e} reads {v}.",
    "Anyone working with {e} must know its {n}, {v}.",
    "{v} has been set as the {n} of {e}.",
    "Please note that {v} is now the {n} for {e}.",
)
_CODE_FURTHER = (
    "The {n} of {e} has been renewed and is {v}.",
    "The {n} for {e} has been fixed at {v}.",
    "The {n} of {e} has been replaced by {v}.",
    "The {n} for {e} remains {v}.",
    "{e} kept {v} as its {n}.",
    "{e} got the {n} {v}.",
    "The porter at {e} will ask for the {n}, {v}.",
    "The label reads {v}, which is the {n} of {e}.",
    "{v} opens {e}: that is the {n}.",
    "{v} was drawn as the {n} for {e}.",
    "{v} serves as the {n} at {e}.",
    "{v} has replaced the old {n} of {e}.",
    "With {v} as {n} one gets into {e}.",
    "Type {v}, the {n} for {e}.",
    "Whoever needs {e} must know {v}, its {n}.",
    "Only {v} is accepted as the {n} of {e}.",
    # As in lines of lists and tables.
    "{e}: {v}.",
    "{e} ({n}): {v}.",
    "{n}, {e}: {v}.",
)
_CODE_QUESTIONS = (
    "What is the {n} for {e}?",
    "Which {n} is used for {e}?",
    "What is the {n} of {e}?",
    "What {n} does {e} use?",
    "What {n} do I need for {e}?",
    "For {e}, what is the {n}?",
    "Can you give me the {n} of {e}?",
    "I need the {n} for {e}; what is it?",
    "Give the {n} of {e}.",
    "Do you know the {n} for {e}?",
    "Tell me the {n} for {e}.",
)
KINDS = (
    Kind(
        "access_code",
        _PLACES,
        code_value,
        ("To get into {e}, enter the {n} {v}.", *_CODE_SENTENCES),
        ("Which {n} lets me into {e}?", *_CODE_QUESTIONS),
        nouns=(*_CODES, "door code", "entry code"),
        further=_CODE_FURTHER,
    ),
    Kind(
        "access_code",
        ("project", "system"),
        code_value,
        _CODE_SENTENCES,
        _CODE_QUESTIONS,
        nouns=_CODES,
        further=_CODE_FURTHER,
    ),
)
HARD = {
    "word": Kind(
        "word",
        (*_PLACES, "system"),
        values.code_word,
        (
            "The code word for {e} is {v}.",
            "Staff at {e} use the code word {v}.",
            "The code word for {e} was changed to {v}.",
            "Please note that {v} is now the code word for {e}.",
        ),
        (
            "What is the code word for {e}?",
            "Which code word is used for {e}?",
            "Tell me the code word for {e}.",
        ),
    ),
    "spoken": Kind(
        "spoken",
        _PLACES,
        values.spoken,
        (
            "The call sign of {e} is {v}.",
            "Over the radio, {e} answers to the call sign {v}.",
            "The call sign of {e} was changed to {v}.",
            "Please note that {v} is now the call sign of {e}.",
        ),
        (
            "What is the call sign of {e}?",
            "Which call sign does {e} use?",
            "Tell me the call sign of {e}.",
        ),
    ),
    "uuid": Kind(
        "uuid",
        _ALL,
        uuid_value,
        (
            "The serial number of {e} is {v}.",
            "{e} is registered under the serial number {v}.",
            "The serial number of {e} was changed to {v}.",
            "In the register, {v} is the serial number of {e}.",
        ),
        (
            "What is the serial number of {e}?",
            "Under which serial number is {e} registered?",
            "Tell me the serial number of {e}.",
        ),
    ),
}
PASSKEYS = PasskeyWording(
    nouns=(
        "passkey;pass key;secret number;access code;verification code;PIN;password;security code"
    ).split(";"),
    sentences=(
        "The {n} is {v}.",
        "Remember this: the {n} is {v}.",
        "{v} is the {n}.",
        "Please note that the {n} is {v}.",
        "Do not forget that the {n} is {v}.",
        "Keep in mind that {v} is the {n}.",
        "Here is the {n}: {v}.",
        "The {n} you will need later is {v}.",
        "The {n} is {v}. Remember it. {v} is the {n}.",
        "Write down the {n}: {v}.",
        "The {n} to remember is {v}.",
        "As {n}, use {v}.",
        "{v}: this is the {n}.",
        "The new {n} is {v}.",
        "The {n} was changed to {v}.",
        "Your {n} is {v}.",
        "Note: the {n} reads {v}.",
        "We chose {v} as the {n}.",
        "Important: the {n} has been set to {v}.",
    ),
    questions=(
        "What is the {n}?",
        "Tell me the {n}.",
        "What was the {n} mentioned in the text?",
        "Which {n} does the text give?",
        "What {n} was given?",
        "Give me the {n}.",
        "Can you tell me the {n}?",
        "Do you remember the {n}?",
        "Which {n} is it?",
        "What does the text say the {n} is?",
        "Repeat the {n}.",
        "Please state the {n}.",
    ),
    further=(
        "The {n} has been renewed and is {v}.",
        "The {n} has been fixed at {v}.",
        "The {n} has been replaced by {v}.",
        "The {n} has been altered and reads {v}.",
        "The {n} remains {v}.",
        "The {n} became {v}.",
        "Our {n} will be {v}.",
        "{v} has replaced the old {n}.",
        "{v} was drawn as the {n}.",
        "{v} serves as the {n}.",
        "Type {v} when you are asked for the {n}.",
        "Only {v} is accepted as the {n}.",
        "Whoever asks for the {n} is told {v}.",
        "The {n} on the label reads {v}.",
    ),
    named=(
        "passkey for the east wing",
        "passkey for the north gate",
        "access code for the staff canteen",
        "access code for the archive room",
    ),
)
