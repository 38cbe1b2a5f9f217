"""English names and values for needles: towns, people, codes, times, fees and the like."""

from __future__ import annotations

import random

from dnsity.data.generators.wording import Value, extension_number, spoken_value

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
# Composed names, so that a name has to be copied and cannot be guessed.
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
PLACE_SORTS = (
    "archive;attic;bakery;barn;boathouse;cabin;cafe;canteen;cellar;chamber;chapel;clinic;cloakroom;"
    "common room;conservatory;darkroom;depot;dormitory;exchange;exhibition;gallery;garage;gate;"
    "greenhouse;gym;hall;hut;information point;kiosk;kitchen;laboratory;laundry;lodge;lounge;"
    "market;nursery;parlour;pavilion;playroom;reception;school;shed;shelter;shop;showroom;stable;"
    "stall;storeroom;studio;surgery;terrace;tower;vault;wing;workshop;yard"
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


def town(rng: random.Random) -> str:
    """Sample a town; none like Millland or Woodwood."""
    head = rng.choice(_TOWN_HEADS)
    fitting = [t for t in _TOWN_TAILS if t[0] != head[-1] and not t.startswith(head.lower())]
    return head + rng.choice(fitting)


def _surname(rng: random.Random) -> str:
    if rng.random() < 0.3:
        return rng.choice(_LAST)
    name = rng.choice(_SYLLABLES) + rng.choice(_NAME_TAILS)
    return (rng.choice(_SYLLABLES) + name if rng.random() < 0.4 else name).capitalize()


def _first_name(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_FIRST)
    return (rng.choice(_SYLLABLES) + rng.choice(_NAME_TAILS)).capitalize()


def place(rng: random.Random) -> str:
    """Sample the word before a kind of place."""
    return rng.choice(_PLACE_STEMS)


def codename(rng: random.Random) -> str:
    """Sample the name of a project."""
    name = rng.choice(_CODENAMES)
    return name if rng.random() < 0.4 else f"{town(rng)} {name}"


def _clock(rng: random.Random, first: int, last: int) -> tuple[int, str]:
    return rng.randint(first, last), f"{5 * rng.randrange(12):02d}"


def morning(rng: random.Random) -> Value:
    """Sample an opening time."""
    hour, minute = _clock(rng, 6, 11)
    time = f"{hour}:{minute}"
    return Value(time + rng.choice(("", "", " a.m.", " am", " in the morning")), time)


def evening(rng: random.Random) -> Value:
    """Sample a closing time."""
    hour, minute = _clock(rng, 3, 11)
    if rng.random() < 0.4:
        time = f"{hour + 12}:{minute}"
        return Value(time, time)
    time = f"{hour}:{minute}"
    forms = (" p.m.", " pm", " in the evening") if 6 <= hour <= 9 else (" p.m.", " pm")
    return Value(time + rng.choice(forms), time)


def fee(rng: random.Random) -> Value:
    """Sample an admission fee."""
    whole, pence = rng.randint(3, 95), rng.choice(("", "", ".20", ".50", ".75", ".80"))
    form = rng.choice(("£{}", "${}", "{} pounds", "{} dollars", "{} euros"))
    fee = form.format(f"{whole}{pence if form[-1] == '}' else ''}")
    return Value(fee, fee)


def phone(rng: random.Random) -> Value:
    """Sample a telephone number."""
    number = f"{rng.randrange(200, 1000)}-{rng.randrange(10_000):04d}"
    return Value(number, number)


def code_word(rng: random.Random) -> Value:
    """Sample a code word."""
    word = rng.choice(_WORDS)
    return Value(word, word)


def spoken(rng: random.Random) -> Value:
    """Sample a number spelled digit by digit."""
    return spoken_value(rng, "zero one two three four five six seven eight nine".split())


def extension(rng: random.Random) -> Value:
    """Sample a telephone extension."""
    extension = extension_number(rng)
    return Value(extension, extension)


def room(rng: random.Random) -> Value:
    """Sample the number of a room."""
    number = f"{rng.randint(1, 9)}{rng.randint(1, 48):02d}"
    room = rng.choice(("", "", "A", "B", "C")) + number
    return Value(f"Room {room}", room)


def person(rng: random.Random) -> Value:
    """Sample the name of a person."""
    name = f"{_first_name(rng)} {_surname(rng)}"
    return Value(name, name)


def capacity(rng: random.Random) -> Value:
    """Sample a number of people."""
    count = rng.randint(105, 4990) if rng.random() < 0.3 else rng.randint(105, 990)
    return Value(f"{count:,}", f"{count:,}")


def deadline(rng: random.Random) -> Value:
    """Sample a day of the year."""
    month, day = rng.choice(_MONTHS), rng.randint(1, _LAST_DAY)
    date = f"{month} {day}" if rng.random() < 0.6 else f"{day} {month}"
    return Value(date, date)


def street(rng: random.Random) -> Value:
    """Sample the name of a street."""
    street = f"{rng.choice(_TREES)} {rng.choice(_ROADS)}"
    return Value(street, street)
