"""First sentences of articles: what is defined, as what; what says nothing is not read."""

from __future__ import annotations

import pytest

from dnsity.data.example import Language
from dnsity.data.generators.leads import read_lead

READ: list[tuple[Language, str, str, str, str]] = [
    (
        "en",
        "Mara Tillow",
        "Mara Jane Tillow (; born 4 May 1901), was a Welsh painter, printmaker and teacher. She...",
        "a Welsh painter",
        "____ was a Welsh painter, printmaker and teacher.",
    ),
    (
        "en",
        "Nail",
        "In woodworking, a nail (or [spike]) is a pin-shaped object of metal, used in many crafts.",
        "a pin-shaped object of metal",
        "In woodworking, ____ is a pin-shaped object of metal, used in many crafts.",
    ),
    (
        "en",
        "Ostrel war",
        "The Ostrel War was an armed conflict in Ostrel that ended all wars of Lower Saxony.",
        "an armed conflict in Ostrel that ended all wars of Lower Saxony",
        "____ was an armed conflict in ____ that ended all ____ of Lower Saxony.",
    ),
    (
        "en",
        "Kurt Velde",
        "Kurt Velde was an Austrian, and later American, logician, teacher and gardener.",
        "an Austrian, and later American, logician",
        "____ was an Austrian, and later American, logician, teacher and gardener.",
    ),
    (
        "ko",
        "김나루",
        "김나루(金나루, 1889년 ~ 1976년)는 대한민국의 시인이자 교육자이다. 서울에서 태어났다.",
        "대한민국의 시인",
        "____은(는) 대한민국의 시인이자 교육자이다.",
    ),
    (
        "ko",
        "하늘나루 3세",
        "하늘나루 3세(Haneul III)은 북쪽 왕국의 마지막 임금이었고 시를 남겼다.",
        "북쪽 왕국의 마지막 임금",
        "____은(는) 북쪽 왕국의 마지막 임금이었고 시를 남겼다.",
    ),
    (
        "ko",
        "세대 차이",
        "세대 차이는 서로 다른 연령층 사이에 있는 감정이나 가치관의 다름을 가리킨다.",
        "서로 다른 연령층 사이에 있는 감정이나 가치관의 다름",
        "____은(는) 서로 다른 연령층 사이에 있는 감정이나 가치관의 다름을 가리킨다.",
    ),
    (
        "ko",
        "나루 모형",
        "물리학에서 나루 모형은 물살의 흐름을 돌멩이의 배치로 그려 내는 설명 방식이다.",
        "물살의 흐름을 돌멩이의 배치로 그려 내는 설명 방식",
        "물리학에서 ____은(는) 물살의 흐름을 돌멩이의 배치로 그려 내는 설명 방식이다.",
    ),
    (
        "ko",
        "작은 나루",
        "작은 나루는 강가의 돌을 소재로 삼아 여러 나라에서 사랑받은 노래 모음의 하나다.",
        "강가의 돌을 소재로 삼아 여러 나라에서 사랑받은 노래 모음의 하나",
        "____은(는) 강가의 돌을 소재로 삼아 여러 나라에서 사랑받은 노래 모음의 하나다.",
    ),
]


@pytest.mark.parametrize(("language", "title", "paragraph", "definition", "masked"), READ)
def test_the_definition_is_found_and_the_title_masked(
    language: Language, title: str, paragraph: str, definition: str, masked: str
) -> None:
    lead = read_lead(paragraph, title, language)
    assert lead is not None
    assert lead.definition == definition
    assert lead.masked == masked
    assert "(" not in lead.sentence


def test_what_only_fitted_an_aside_is_mended() -> None:
    english = read_lead(READ[0][2], READ[0][1], "en")
    korean = read_lead(READ[5][2], READ[5][1], "ko")
    assert english is not None
    assert english.sentence.startswith("Mara Jane Tillow was a Welsh")  # no comma before the verb
    assert korean is not None
    assert korean.sentence.startswith("하늘나루 3세는 북쪽")  # 은 fitted the brackets


@pytest.mark.parametrize(
    ("language", "title", "paragraph"),
    [
        ("en", "Harbour Act", "The Harbour Act was passed by the council of the town in 1920."),
        ("en", "Harbour", "The Harbour is located in the eastern part of the old town."),
        ("en", "Mara Tillow", "Someone else was a Welsh painter and printmaker of renown."),
        ("en", "Mara Tillow", "Mara Tillow was a Welsh <b>painter</b> and teacher of renown."),
        ("en", "Film", "Film is a film."),
        (
            "en",
            "River film",
            "The silent river film is a river film genre.",
        ),  # nothing but its title
        ("en", "Mara Tillow", ""),
        ("ko", "나루의 역사", "이 문서는 나루의 역사를 처음부터 끝까지 서술하는 글이다."),
        ("ko", "나루", "나루는 강가에 자리 잡고 있으며 오래전부터 사람들이 모여 살았다."),
        ("ko", "나루", "나루의 정식 명칭은 강가에 있는 오래된 하늘나루터이다."),
        ("ko", "나루", "나루는 강을 오가는 사람들이 모이던 큰 나루이다."),  # names itself
    ],
)
def test_a_sentence_that_does_not_define_its_subject_is_not_read(
    language: Language, title: str, paragraph: str
) -> None:
    assert read_lead(paragraph, title, language) is None
