"""English wording of needles: the named entities, and the attributes that needles state of them."""

from __future__ import annotations

from dnsity.data.generators.en import codes, contact, details, values
from dnsity.data.generators.en.variations import VARIATIONS
from dnsity.data.generators.wording import Group, Wording


def fill(template: str, **values: str) -> str:
    """Fill a template; an article at its start ("the Kestrel Project") is capitalized.

    A value that ends with a full stop ("5:20 p.m.") also ends the sentence.
    """
    text = template.format(**values).replace("..", ".")
    return text[:1].upper() + text[1:]


WORDING = Wording(
    fill=fill,
    variations=VARIATIONS,
    groups={
        "venue": Group(
            (
                "Swimming Pool;Sports Hall;Museum;Art Gallery;Botanical Garden;Ice Rink;"
                "Concert Hall;Theatre;Observatory;Leisure Centre;Maritime Museum;Aquarium;"
                "Tennis Club;Climbing Centre;Science Centre;Arts Centre;Cinema;Castle;"
                "Railway Museum;Wildlife Park"
            ).split(";"),
            values.town,
        ),
        "office": Group(
            (
                "Public Library;Health Centre;Town Hall;Community Centre;Registry Office;"
                "Visitor Centre;Job Centre;Family Centre;Youth Club;Adult Education College;"
                "Housing Office;Tax Office;Language School;County Archive;Music School;"
                "Veterinary Clinic"
            ).split(";"),
            values.town,
        ),
        "project": Group(
            "Project;Programme;Initiative;Study;Scheme;Scholarship;Fund".split(";"),
            values.codename,
            "the ",
        ),
        "system": Group(
            (
                "archive server;booking system;payroll system;control room;data centre;"
                "parking garage;boiler house;document store;mail gateway;pumping station;"
                "storage depot;test laboratory"
            ).split(";"),
            values.town,
            "the ",
        ),
        "place": Group(values.PLACE_SORTS, values.place, "the "),
    },
    kinds=(*codes.KINDS, *contact.KINDS, *details.KINDS),
    hard=codes.HARD,
    passkeys=codes.PASSKEYS,
)
