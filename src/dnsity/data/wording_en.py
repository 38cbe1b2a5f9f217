"""English names, values and sentences for needles."""

from __future__ import annotations

import random

from dnsity.data.wording import Group, Kind, PasskeyWording, Value, Wording

_TOWN_HEADS = (
    "Ald Amber Arn Ash Bar Beck Birch Black Brack Bram Bren Brook Burn Cal Carl Chal Clay Cold "
    "Cran Dal Dun East Elm Fair Farn Fen Gar Glen Graf Grim Hal Har Hart Hazel Hol Kel Kirk Lang "
    "Lin Lock Mal Mar Mill Nor Oak Pem Rad Raven Red Rock Rush Sel Shel Stan Stock Thorn Wake "
    "Wel West Whit Win Wood"
).split()
_TOWN_TAILS = (
    "bridge brook burgh bury by combe cross dale den don field ford gate ham haven holme hurst "
    "land leigh ley low mead mere minster mont more port ridge stead stoke thorpe ton vale view "
    "well wick wood worth"
).split()
_CODENAMES = (
    "Aurora Beacon Bluebell Bramble Cascade Cedar Compass Condor Cormorant Curlew Driftwood "
    "Ember Falcon Firefly Foxglove Goldfinch Granite Harbour Harvest Heron Horizon Juniper "
    "Kestrel Kingfisher Lantern Larkspur Lighthouse Magnolia Marigold Meridian Nightingale "
    "Northstar Osprey Otter Pathway Pioneer Quartz Redwood Sandpiper Saffron Skylark Sparrow "
    "Summit Sycamore Tamarind Thistle Tundra Vanguard Willow Zephyr"
).split()
_FIRST = (
    "Aaron Abigail Adam Alice Amara Andrew Anita Arthur Beatrice Benjamin Bridget Callum Carla "
    "Cecilia Charlotte Clara Daniel Deepa Diana Edward Elena Eleanor Emma Ethan Fatima Felix "
    "Fiona Frances George Grace Hannah Harriet Hugo Imran Irene Isaac Jasmine Joanna Joseph "
    "Julia Karen Kenji Laura Leon Lucy Marcus Margaret Maria Martin Mei Nadia Nathan Nora Oliver "
    "Oscar Patricia Paul Priya Rachel Rajesh Rebecca Robert Rosa Ruth Samuel Sofia Stella Teresa "
    "Thomas Tobias Ursula Victor Wanda Yusuf Zoe"
).split()
_LAST = (
    "Abbott Adeyemi Anders Barlow Bennett Bishop Blackwood Brennan Callahan Carver Castellano "
    "Chandra Chen Cole Crane Dawson Delgado Doyle Ellison Farrell Ferreira Finch Fletcher Gallo "
    "Garrick Hale Hargreaves Hayashi Holloway Hussain Ibrahim Ingram Jarvis Kaplan Keating "
    "Kowalski Lambert Larsen Lindqvist Lowell Marsh Mbeki Mercer Morley Nakamura Norris Novak "
    "Okafor Osborne Patel Pemberton Petrov Quinn Ramsey Rhodes Rossi Sandoval Schaefer Sinclair "
    "Stafford Sullivan Tanaka Thornton Underhill Vance Varga Walsh Weaver Whitaker Yates"
).split()
_TREES = (
    "Acorn Abbey Alder Almond Bakers Bell Birch Canal Castle Chapel Cherry Chestnut Church "
    "Clover College Coopers Cypress Elder Fountain Garden Granary Hawthorn Hickory High Holly "
    "Ivy Jasmine King King's Laurel Linden Maple Market Meadow Mulberry Old Orchard Park Pear "
    "Pine Poplar Priory Queen River Rosemary Rowan School Spruce Station Tanner Temple Tulip "
    "Union Victoria Walnut Water Weaver"
).split()
_ROADS = "Street Street Road Avenue Lane Terrace Square Court Drive Place".split()
_MONTHS = (
    "January February March April May June July August September October November December"
).split()
_LAST_DAY = 28  # a day that every month has


def _town(rng: random.Random) -> str:
    return rng.choice(_TOWN_HEADS) + rng.choice(_TOWN_TAILS)


def _codename(rng: random.Random) -> str:
    name = rng.choice(_CODENAMES)
    return name if rng.random() < 0.4 else f"{_town(rng)} {name}"


def _code(rng: random.Random) -> Value:
    code = str(rng.randrange(10_000, 100_000))
    return Value(code, code)


def _clock(rng: random.Random, first: int, last: int) -> tuple[int, str]:
    return rng.randint(first, last), f"{5 * rng.randrange(12):02d}"


def _morning(rng: random.Random) -> Value:
    hour, minute = _clock(rng, 6, 11)
    time = f"{hour}:{minute}"
    return Value(time + rng.choice(("", "", " a.m.", " am", " in the morning")), time)


def _evening(rng: random.Random) -> Value:
    hour, minute = _clock(rng, 3, 11)
    if rng.random() < 0.4:
        time = f"{hour + 12}:{minute}"
        return Value(time, time)
    time = f"{hour}:{minute}"
    return Value(time + rng.choice((" p.m.", " pm", " in the evening")), time)


def _fee(rng: random.Random) -> Value:
    whole, pence = rng.randint(3, 95), rng.choice(("", "", ".20", ".50", ".75", ".80"))
    form = rng.choice(("£{}", "${}", "{} pounds", "{} dollars", "{} euros"))
    fee = form.format(f"{whole}{pence if form[-1] == '}' else ''}")
    return Value(fee, fee)


def _phone(rng: random.Random) -> Value:
    if rng.random() < 0.5:
        extension = str(rng.randrange(2000, 10_000))
        return Value(f"extension {extension}", extension)
    number = f"{rng.randrange(200, 1000)}-{rng.randrange(10_000):04d}"
    return Value(number, number)


def _room(rng: random.Random) -> Value:
    number = f"{rng.randint(1, 9)}{rng.randint(1, 48):02d}"
    room = rng.choice(("", "", "A", "B", "C")) + number
    return Value(f"Room {room}", room)


def _person(rng: random.Random) -> Value:
    name = f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
    return Value(name, name)


def _capacity(rng: random.Random) -> Value:
    count = rng.randint(105, 4990) if rng.random() < 0.3 else rng.randint(105, 990)
    return Value(f"{count:,}", f"{count:,}")


def _deadline(rng: random.Random) -> Value:
    month, day = rng.choice(_MONTHS), rng.randint(1, _LAST_DAY)
    date = f"{month} {day}" if rng.random() < 0.6 else f"{day} {month}"
    return Value(date, date)


def _street(rng: random.Random) -> Value:
    street = f"{rng.choice(_TREES)} {rng.choice(_ROADS)}"
    return Value(street, street)


def fill(template: str, **values: str) -> str:
    """Fills a template; an article that came to stand first ("the Kestrel Project") is raised.

    A value that ends in a stop of its own ("5:20 p.m.") ends the sentence with it.
    """
    text = template.format(**values).replace("..", ".")
    return text[:1].upper() + text[1:]


_ALL = ("venue", "office", "project", "system")
_PLACES = ("venue", "office")

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
            _town,
        ),
        "office": Group(
            "{stem} {sort}",
            (
                "Public Library;Health Centre;Town Hall;Community Centre;Registry Office;"
                "Visitor Centre;Job Centre;Family Centre;Youth Club;Adult Education College;"
                "Housing Office;Tax Office;Language School;County Archive;Music School;"
                "Veterinary Clinic"
            ).split(";"),
            _town,
        ),
        "project": Group(
            "the {stem} {sort}",
            "Project;Programme;Initiative;Study;Scheme;Scholarship;Fund".split(";"),
            _codename,
        ),
        "system": Group(
            "the {stem} {sort}",
            (
                "archive server;booking system;payroll system;control room;data centre;"
                "parking garage;boiler house;document store;mail gateway;pumping station;"
                "storage depot;test laboratory"
            ).split(";"),
            _town,
        ),
    },
    kinds=(
        Kind(
            "access_code",
            _ALL,
            _code,
            (
                "The access code for {e} is {v}.",
                "Staff use the access code {v} for {e}.",
                "Since the last audit, the access code for {e} has been {v}.",
                "To get into {e}, enter the access code {v}.",
                "The access code issued for {e} was changed to {v}.",
                "Please note that {v} is now the access code for {e}.",
            ),
            (
                "What is the access code for {e}?",
                "Which access code is used for {e}?",
                "Tell me the access code for {e}.",
                "Which code gives access to {e}?",
            ),
        ),
        Kind(
            "opening_time",
            _PLACES,
            _morning,
            (
                "{e} opens at {v}.",
                "On weekdays, {e} opens its doors at {v}.",
                "The opening time of {e} is {v}.",
                "From this spring, {e} will open at {v} each day.",
                "Visitors may enter {e} from {v}.",
            ),
            (
                "When does {e} open?",
                "At what time does {e} open?",
                "What is the opening time of {e}?",
                "From what time may visitors enter {e}?",
            ),
        ),
        Kind(
            "closing_time",
            _PLACES,
            _evening,
            (
                "{e} closes at {v}.",
                "On weekdays, {e} shuts its doors at {v}.",
                "The closing time of {e} is {v}.",
                "All visitors must leave {e} by {v}, when it closes.",
                "During the winter, {e} will close at {v} each day.",
            ),
            (
                "When does {e} close?",
                "At what time does {e} close?",
                "What is the closing time of {e}?",
            ),
        ),
        Kind(
            "fee",
            ("venue",),
            _fee,
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
            _phone,
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
            _room,
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
            _person,
            (
                "{v} is in charge of {e}.",
                "The person in charge of {e} is {v}.",
                "{v} has been put in charge of {e}.",
                "Since January, {v} has been responsible for {e}.",
                "The council appointed {v} to take charge of {e}.",
            ),
            (
                "Who is in charge of {e}?",
                "Who is responsible for {e}?",
                "What is the name of the person in charge of {e}?",
            ),
        ),
        Kind(
            "capacity",
            ("venue",),
            _capacity,
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
            _deadline,
            (
                "Registration for {e} closes on {v}.",
                "The registration deadline for {e} is {v}.",
                "{e} will accept registrations until {v}.",
                "The last day to register for {e} is {v}.",
                "Anyone wishing to register for {e} must do so no later than {v}.",
            ),
            (
                "What is the registration deadline for {e}?",
                "When does registration for {e} close?",
                "What is the last day to register for {e}?",
                "Until when does {e} accept registrations?",
            ),
        ),
        Kind(
            "street",
            _PLACES,
            _street,
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
            "Important: the {n} has been set to {v}.",
            "The {n} is {v}. Remember it. {v} is the {n}.",
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
