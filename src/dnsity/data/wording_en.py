"""English sentences and questions for needles."""

from __future__ import annotations

from dnsity.data import values_en as values
from dnsity.data.wording import Group, Kind, PasskeyWording, Wording, code_value, uuid_value


def fill(template: str, **values: str) -> str:
    """Fills a template; an article that came to stand first ("the Kestrel Project") is raised.

    A value that ends in a stop of its own ("5:20 p.m.") ends the sentence with it.
    """
    text = template.format(**values).replace("..", ".")
    return text[:1].upper() + text[1:]


_ALL = ("venue", "office", "project", "system", "place")
_PLACES = ("venue", "office", "place")
_CODES = "access code;access code;passkey;password;PIN;security code".split(";")
_CODE_SENTENCES = (
    "The {n} for {e} is {v}.",
    "Staff use the {n} {v} for {e}.",
    "Since the last audit, the {n} for {e} has been {v}.",
    "The {n} issued for {e} was changed to {v}.",
    "The {n} of {e} is {v}.",
    "Please note that {v} is now the {n} for {e}.",
)
_CODE_QUESTIONS = (
    "What is the {n} for {e}?",
    "Which {n} is used for {e}?",
    "What is the {n} of {e}?",
    "Tell me the {n} for {e}.",
)

WORDING = Wording(
    fill=fill,
    groups={
        "venue": Group(
            "{stem} {sort}",
            (
                "Swimming Pool;Sports Hall;Museum;Art Gallery;Botanical Garden;Ice Rink;"
                "Concert Hall;Theatre;Observatory;Leisure Centre;Maritime Museum;Aquarium;"
                "Tennis Club;Climbing Centre;Science Centre;Arts Centre;Cinema;Castle;"
                "Railway Museum;Wildlife Park"
            ).split(";"),
            values.town,
        ),
        "office": Group(
            "{stem} {sort}",
            (
                "Public Library;Health Centre;Town Hall;Community Centre;Registry Office;"
                "Visitor Centre;Job Centre;Family Centre;Youth Club;Adult Education College;"
                "Housing Office;Tax Office;Language School;County Archive;Music School;"
                "Veterinary Clinic"
            ).split(";"),
            values.town,
        ),
        "project": Group(
            "the {stem} {sort}",
            "Project;Programme;Initiative;Study;Scheme;Scholarship;Fund".split(";"),
            values.codename,
        ),
        "system": Group(
            "the {stem} {sort}",
            (
                "archive server;booking system;payroll system;control room;data centre;"
                "parking garage;boiler house;document store;mail gateway;pumping station;"
                "storage depot;test laboratory"
            ).split(";"),
            values.town,
        ),
        "place": Group("the {stem} {sort}", values.PLACE_SORTS, values.place),
    },
    kinds=(
        Kind(
            "access_code",
            _PLACES,
            code_value,
            ("To get into {e}, enter the {n} {v}.", *_CODE_SENTENCES),
            ("Which {n} lets me into {e}?", *_CODE_QUESTIONS),
            nouns=(*_CODES, "door code", "entry code"),
        ),
        Kind(
            "access_code",
            ("project", "system"),
            code_value,
            _CODE_SENTENCES,
            _CODE_QUESTIONS,
            nouns=_CODES,
        ),
        Kind(
            "extension",
            ("office", "place"),
            values.extension,
            (
                "The {n} of {e} is {v}.",
                "The {n} for {e} is {v}.",
                "To reach {e} by internal phone, dial {n} {v}.",
                "{e} has {n} {v}.",
                "The {n} of {e} was changed to {v}.",
            ),
            (
                "What is the {n} of {e}?",
                "What is the {n} for {e}?",
                "Tell me the {n} of {e}.",
            ),
            nouns=("extension", "telephone extension", "phone extension", "extension number"),
        ),
        Kind(
            "opening_time",
            _PLACES,
            values.morning,
            (
                "{e} opens at {v}.",
                "On weekdays, {e} opens its doors at {v}.",
                "The opening time of {e} is {v}.",
                "From this spring, {e} will open at {v} each day.",
                "Visitors may enter {e} from {v}.",
            ),
            (
                "When does {e} open?",
                "What time does {e} open?",
                "At what time does {e} open?",
                "What is the opening time of {e}?",
                "From what time may visitors enter {e}?",
            ),
        ),
        Kind(
            "closing_time",
            _PLACES,
            values.evening,
            (
                "{e} closes at {v}.",
                "On weekdays, {e} shuts its doors at {v}.",
                "The closing time of {e} is {v}.",
                "All visitors must leave {e} by {v}, when it closes.",
                "During the winter, {e} will close at {v} each day.",
            ),
            (
                "When does {e} close?",
                "What time does {e} close?",
                "At what time does {e} close?",
                "What is the closing time of {e}?",
            ),
        ),
        Kind(
            "fee",
            ("venue",),
            values.fee,
            (
                "Admission to {e} costs {v}.",
                "The entrance fee for {e} is {v}.",
                "{e} charges an entrance fee of {v}.",
                "An adult ticket for {e} costs {v}.",
                "Following the council's decision, visitors to {e} pay {v} for admission.",
            ),
            (
                "How much does admission to {e} cost?",
                "What is the entrance fee for {e}?",
                "How much do visitors pay to enter {e}?",
            ),
        ),
        Kind(
            "phone",
            _ALL,
            values.phone,
            (
                "For enquiries about {e}, call {v}.",
                "The contact number for {e} is {v}.",
                "Questions about {e} are answered on {v}.",
                "The helpline for {e} can be reached on {v}.",
                "Anyone with questions about {e} should dial {v}.",
            ),
            (
                "What is the contact number for {e}?",
                "Which number should I call about {e}?",
                "What number do I dial for enquiries about {e}?",
            ),
        ),
        Kind(
            "room",
            _ALL,
            values.room,
            (
                "The office for {e} is in {v}.",
                "The office for {e} has moved to {v}.",
                "The office that deals with {e} can be found in {v}.",
                "Forms concerning {e} are to be handed in at the office in {v}.",
                "{v} now houses the office for {e}.",
            ),
            (
                "Which room is the office for {e} in?",
                "What is the room number of the office for {e}?",
                "In which room is the office that deals with {e}?",
            ),
        ),
        Kind(
            "person",
            _ALL,
            values.person,
            (
                "{v} is in charge of {e}.",
                "The person in charge of {e} is {v}.",
                "{v} has been put in charge of {e}.",
                "Since January, {v} has been responsible for {e}.",
                "The council appointed {v} to take charge of {e}.",
            ),
            (
                "Who is in charge of {e}?",
                "Who is the person in charge of {e}?",
                "Who is responsible for {e}?",
                "What is the name of the person in charge of {e}?",
            ),
        ),
        Kind(
            "capacity",
            ("venue",),
            values.capacity,
            (
                "{e} can hold up to {v} people.",
                "The capacity of {e} is {v} visitors.",
                "{e} has a capacity of {v}.",
                "After the renovation, {e} holds {v} people.",
                "No more than {v} people are allowed in {e} at one time.",
            ),
            (
                "How many people can {e} hold?",
                "What is the capacity of {e}?",
                "What is the maximum number of people allowed in {e}?",
            ),
        ),
        Kind(
            "deadline",
            ("office", "project"),
            values.deadline,
            (
                "Registration for {e} closes on {v}.",
                "The registration deadline for {e} is {v}.",
                "{e} will accept registrations until {v}.",
                "The last day of registration for {e} is {v}.",
                "Registrations for {e} must be received no later than {v}.",
            ),
            (
                "What is the registration deadline for {e}?",
                "When does registration for {e} close?",
                "What is the last day of registration for {e}?",
                "Until what date does {e} accept registrations?",
            ),
        ),
        Kind(
            "street",
            _PLACES,
            values.street,
            (
                "{e} is on {v}.",
                "{e} is located on {v}.",
                "You will find {e} on {v}, next to the bus stop.",
                "{e} moved to new premises on {v}.",
                "The main entrance of {e} is on {v}.",
            ),
            (
                "Which street is {e} on?",
                "On which street is {e} located?",
                "Where is {e}?",
            ),
        ),
    ),
    hard={
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
    },
    passkeys=PasskeyWording(
        nouns=(
            "passkey;pass key;secret number;access code;verification code;PIN;password;"
            "security code"
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
            "Important: the {n} has been set to {v}.",
        ),
        questions=(
            "What is the {n}?",
            "Tell me the {n}.",
            "What was the {n} mentioned in the text?",
            "Which {n} does the text give?",
            "Please state the {n}.",
        ),
    ),
)
