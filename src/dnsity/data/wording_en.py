"""English names, values and sentences for needles."""

from __future__ import annotations

import random

from dnsity.data.wording import (
    Group,
    Kind,
    PasskeyWording,
    Value,
    Wording,
    spoken_value,
    uuid_value,
)

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
# Names of no list, so that a name has to be read and cannot be guessed.
_SYLLABLES = (
    "bar bel ber bor bran cal cam car cas cor dal dar del dor dun ed el em fal fen fer gal gar gil "
    "gor hal har hes hol jar jes kar kel ken kir lan lar len lor lud mal mar mel mer mor nar nes "
    "nor ol or pal pel per pol quin ral ran rel ros sal san sel sor tal tam tar tel tor ul van vel "
    "ver vin wal war wes wil yar yor zan zel"
).split()
_NAME_TAILS = (
    "a ack am an and ard ast beck bourne by cliffe combe cott croft den don dyke ell en er ert ett "
    "ey field ford gate ham head ick in ing is ley low man mond more ner nick o on ont ott ow ox "
    "rick ridge sby sen shaw son stone ton tree us vin wick win wood worth y"
).split()
_PLACE_STEMS = (
    "back blue brass bread captain's carpenter's chapel children's clock coal copper corner "
    "courtyard cycle dairy drawing east evening film fire first-floor front garden glass "
    "green grain guest history hillside island iron judges' ladies' lamp language lecture linen "
    "long main map meeting members' middle mill morning music new night north old orchard organ "
    "orange paint paper parents' patients' photo piano pilots' pottery print public quiet radio "
    "red river rope round rowing seed side silver small south staff stone students' summer tall "
    "teachers' timber tool top training upper village wash waiting weaving west white winter wool "
    "writing yellow"
).split()
_PLACE_SORTS = (
    "archive;attic;bakery;barn;boathouse;cabin;cafe;canteen;cellar;chamber;clinic;cloakroom;common "
    "room;counter;cupboard;darkroom;dormitory;exchange;exhibition;gallery;garage;gate;greenhouse;"
    "gym;hall;help line;hut;information point;kiosk;kitchen;laboratory;landing;laundry;lift;"
    "locker;lodge;lounge;market;nursery;office;parlour;pavilion;printer;reception;safe;school;shed;"
    "shelter;shop;showroom;stable;stall;storeroom;studio;surgery;team;terrace;tower;vault;wardrobe;"
    "website;wing;workshop;yard"
).split(";")
_WORDS = (
    "accordion almanac amethyst anchovy apricot artichoke avalanche badminton bagpipe balcony "
    "bamboo banjo barnacle biscuit blizzard bonfire boomerang bulldozer butterscotch buttercup "
    "calabash candlestick caramel cashmere catapult cauliflower chandelier chrysalis cinnamon "
    "clarinet cobweb coconut corduroy crocodile cucumber cupcake daffodil dandelion dragonfly "
    "eclipse eggplant elderberry emerald eucalyptus fandango firecracker flamingo gargoyle "
    "gingerbread gondola gooseberry grasshopper hammock harmonica hazelnut hedgehog hibiscus "
    "honeycomb hopscotch icicle jackdaw jellyfish kaleidoscope kangaroo ladybird lavender "
    "lemonade lollipop macaroni mandolin marmalade marzipan meadowlark metronome moonstone "
    "mousetrap nutmeg obelisk ocelot origami oyster pancake paprika parachute peppermint "
    "periscope persimmon pinwheel pistachio platypus pomegranate porcupine pumpernickel quicksand "
    "raspberry rhubarb sandalwood sarsaparilla scarecrow seahorse sombrero starfish tambourine "
    "tangerine tarantula teaspoon thimble toadstool trapeze treacle trombone turquoise umbrella "
    "vermilion waffle walrus weathercock windmill xylophone yoghurt zeppelin zucchini"
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


def _surname(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(_LAST)
    name = rng.choice(_SYLLABLES) + rng.choice(_NAME_TAILS)
    return (rng.choice(_SYLLABLES) + name if rng.random() < 0.4 else name).capitalize()


def _first_name(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_FIRST)
    return (rng.choice(_SYLLABLES) + rng.choice(_NAME_TAILS)).capitalize()


def _place(rng: random.Random) -> str:
    return rng.choice(_PLACE_STEMS)


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


def _code_word(rng: random.Random) -> Value:
    word = rng.choice(_WORDS)
    return Value(word, word)


def _spoken(rng: random.Random) -> Value:
    return spoken_value(rng, "zero one two three four five six seven eight nine".split())


def _extension(rng: random.Random) -> Value:
    extension = str(rng.randrange(100, 1000) if rng.random() < 0.6 else rng.randrange(1000, 10_000))
    return Value(extension, extension)


def _room(rng: random.Random) -> Value:
    number = f"{rng.randint(1, 9)}{rng.randint(1, 48):02d}"
    room = rng.choice(("", "", "A", "B", "C")) + number
    return Value(f"Room {room}", room)


def _person(rng: random.Random) -> Value:
    name = f"{_first_name(rng)} {_surname(rng)}"
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


_CODES = ("access code;access code;passkey;password;PIN;door code;entry code;security code").split(
    ";"
)
_ALL = ("venue", "office", "project", "system", "place")
_PLACES = ("venue", "office", "place")

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
        "place": Group("the {stem} {sort}", _PLACE_SORTS, _place),
    },
    kinds=(
        Kind(
            "access_code",
            _ALL,
            _code,
            (
                "The {n} for {e} is {v}.",
                "Staff use the {n} {v} for {e}.",
                "Since the last audit, the {n} for {e} has been {v}.",
                "To get into {e}, enter the {n} {v}.",
                "The {n} issued for {e} was changed to {v}.",
                "Please note that {v} is now the {n} for {e}.",
                "The {n} of {e} is {v}.",
            ),
            (
                "What is the {n} for {e}?",
                "Which {n} is used for {e}?",
                "Tell me the {n} for {e}.",
                "What is the {n} of {e}?",
                "Which {n} gives access to {e}?",
            ),
            nouns=_CODES,
        ),
        Kind(
            "extension",
            ("office", "place"),
            _extension,
            (
                "The {n} of {e} is {v}.",
                "The {n} for {e} is {v}.",
                "To reach {e} from inside, dial the {n} {v}.",
                "{e} has the {n} {v}.",
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
                "What time does {e} open?",
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
                "What time does {e} close?",
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
                "Who is the person in charge of {e}?",
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
    hard={
        "word": Kind(
            "word",
            _ALL,
            _code_word,
            (
                "The code word for {e} is {v}.",
                "Staff of {e} answer to the code word {v}.",
                "The code word that opens {e} was changed to {v}.",
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
            _ALL,
            _spoken,
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
