"""Korean wording of needles: the named entities, and the attributes that needles state of them."""

from __future__ import annotations

from dnsity.data.generators.ko import codes, contact, details, values
from dnsity.data.generators.ko.variations import VARIATIONS
from dnsity.data.generators.wording import Group, Wording
from dnsity.data.text.particles import fill

WORDING = Wording(
    fill=fill,
    variations=VARIATIONS,
    groups={
        "venue": Group(
            (
                "체육관;수영장;박물관;미술관;식물원;빙상장;문화회관;소극장;천문대;과학관;생태공원;"
                "눈썰매장;캠핑장;탁구장;볼링장;아쿠아리움;민속촌;공연장;전시관;실내 암벽장"
            ).split(";"),
            values.town,
        ),
        "office": Group(
            (
                "도서관;보건소;주민센터;복지관;평생학습관;청소년수련관;우체국;어린이집;기록관;"
                "일자리센터;가족센터;관광안내소;농업기술센터;자원봉사센터;동물병원;음악학원"
            ).split(";"),
            values.town,
        ),
        "project": Group(
            "프로젝트;사업;장학금;캠페인;연구과제;지원사업;공모전".split(";"),
            values.codename,
        ),
        "system": Group(
            (
                "예약 시스템;급여 시스템;문서 서버;통합관제실;전산실;지하주차장;기록물 서고;"
                "배수펌프장;기계실;물류창고;시험실;출입 관리 시스템"
            ).split(";"),
            values.town,
        ),
        "place": Group(values.PLACE_SORTS, values.place),
    },
    kinds=(*codes.KINDS, *contact.KINDS, *details.KINDS),
    hard=codes.HARD,
    passkeys=codes.PASSKEYS,
)
