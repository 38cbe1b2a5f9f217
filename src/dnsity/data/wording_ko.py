"""Korean names, values and sentences for needles; particles follow the word (see `korean`)."""

from __future__ import annotations

import random

from dnsity.data.korean import fill
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
    "가강고광구금남내노단대도동두마매명모목묘문미방백별봉부비사산삼상서석선성송수신안양연영오"
    "용우운원월은이인장정조중진창천청초추충칠태토평풍하학한해현호홍화황효"
)
_TOWN_TAILS = (
    "강경계곡구금길남내능담당덕도동락량령로리림립마명목무문미방백벌봉북사산상서석선성소송수순"
    "신실안암양연영오원월율음인일장전정제주중지진창천촌추치탄탑태평포풍하학항해현호화"
)
_TOWN_ENDS = "동동동읍면시군구"
_CODENAMES = (
    "가온누리 꽃샘 나래 누리 늘봄 다솜 달빛 도담 도약 돋움 두드림 들꽃 디딤돌 라온 마중물 "
    "물빛 미르 바람꽃 별마루 보듬 봄내 불꽃 빛가람 새벽 새봄 샘물 샛별 소담 솔바람 시나브로 "
    "아라 온누리 온새미 윤슬 은하수 이음 잎새 징검다리 참빛 초록 파랑새 푸른솔 하늘빛 한가람 "
    "한빛 해오름 햇살"
).split()
_SURNAMES = (
    "김김김이이이박박최최정정강조윤장임한오서신권황안송류홍전고문양손배백허남심노하곽성차주우구민"
)
_GIVEN_HEADS = (
    "가경규기나다도동명미민보상서선성세소수승시아연영예우원유윤은인재정주준지진찬채태하한해현혜호희"
)
_GIVEN_TAILS = (
    "경광규근기나라란람리림미민별빈상서석선섭성수숙슬식실아안연영온용우욱운원윤율은인일정주준"
    "진찬철현형혜호환훈희"
)
_TITLES = ("", "", " 주무관", " 팀장", " 과장", " 선생님", " 매니저", " 소장")
_STREETS = (
    "가로수 강변 개나리 고인돌 공원 구름다리 국화 금강 꽃마을 느티나무 다래 단풍 달맞이 "
    "대나무 도라지 돌담 동백 둥지 들국화 매화 목련 무지개 문화 물레방아 미루나무 바람 배꽃 "
    "버드나무 벚꽃 별빛 보리밭 봉선화 산수유 살구 샘터 서당 소나무 솔밭 수선화 시장 아카시아 "
    "역전 연꽃 오동 은행나무 자작나무 장미 정자 진달래 철쭉 코스모스 학교 향교 호수 해바라기"
).split()
_WORDS = (
    "가래떡 가마솥 갈매기 개똥벌레 개미핥기 거문고 고드름 고등어 고래등 곤드레 구절판 굴렁쇠 귀뚜라미 금붕어 "
    "꼬리연 꽃게탕 나팔꽃 너구리 노루귀 누룽지 다람쥐 달팽이 대장간 도깨비 도롱뇽 동치미 두루마기 딱따구리 "
    "떡갈나무 똬리 롤케이크 마이크로폰 만화경 망원경 맷돌 메뚜기 모닥불 무말랭이 물레 미꾸라지 바람개비 반딧불이 "
    "방울토마토 배롱나무 병아리콩 복주머니 부침개 북극곰 비눗방울 뻐꾸기 사마귀 산딸기 삿갓 새끼줄 색동저고리 "
    "소금쟁이 솔방울 수수깡 숨바꼭질 쌍안경 썰매개 아지랑이 양탄자 얼레빗 여우비 연날리기 오목렌즈 오카리나 왕잠자리 "
    "우엉차 윷가락 은방울꽃 자명종 잠수함 장구벌레 저울추 조각보 족두리 주사위 지팡이 짚신 참깨강정 청개구리 "
    "초롱불 코뿔소 크레파스 탈춤 탬버린 톱니바퀴 트라이앵글 팔랑개비 팽이버섯 펭귄 풀피리 풍경화 하모니카 함박눈 "
    "항아리 해당화 호두과자 화롯불 회전목마 휘파람"
).split()
_PLACE_STEMS = (
    "강당 공구 공동 공용 교사 교육 구내 기계 기도 기록 나무 낡은 남쪽 내빈 노란 녹음 농기구 다목적 "
    "당직 대형 도자기 동쪽 뒤뜰 미술 발간 방송 배움 보건 보조 부속 북쪽 붉은 비상 빨래 사진 상담 "
    "서쪽 세미나 소형 손님 수예 수유 시청각 식자재 신관 실습 아동 악기 안뜰 앞뜰 야간 어린이 여성 "
    "영상 온실 외국어 운동 원예 위층 음악 의무 이동 인쇄 임시 자전거 장비 전통 제일 조리 주민 중앙 "
    "지역 직원 청년 초록 큰 탁구 통합 푸른 학생 합창 향토 현장 회원 흰"
).split()
_PLACE_SORTS = (
    "강의실;객실;건조실;경비실;공방;공연실;관리실;교실;급식소;놀이방;누리집;대기실;대여소;동아리방;"
    "매점;매표소;모임방;무대;배움터;별관;복사기;분실물함;비품실;사랑방;사무실;사물함;상담소;상영관;"
    "세탁실;숙소;쉼터;식당;신고 센터;안내소;연구실;연습실;온실;우편함;운동장;응접실;의무실;작업실;"
    "전시실;접수대;정원;주방;차고;찻집;창고;체력 단련실;출입문;카페;탈의실;텃밭지기방;프린터;"
    "학습실;홍보관;회의실;휴게실"
).split(";")
_LAST_DAY = 28  # a day that every month has


def _town(rng: random.Random) -> str:
    head = rng.choice(_TOWN_HEADS)
    tail = rng.choice([sound for sound in _TOWN_TAILS if sound != head])
    end = rng.choice([sound for sound in _TOWN_ENDS if sound != tail])
    return head + tail + end


def _place(rng: random.Random) -> str:
    return rng.choice(_PLACE_STEMS)


def _codename(rng: random.Random) -> str:
    name = rng.choice(_CODENAMES)
    return name if rng.random() < 0.4 else f"{_town(rng)} {name}"


def _code(rng: random.Random) -> Value:
    code = str(rng.randrange(10_000, 100_000))
    return Value(code, code)


def _morning(rng: random.Random) -> Value:
    hour, minute = rng.randint(6, 11), 5 * rng.randrange(1, 12)
    if rng.random() < 0.3:
        time = f"{hour}:{minute:02d}"
        return Value(time, time)
    time = f"{hour}시 {minute}분"
    return Value(rng.choice(("오전 ", "오전 ", "아침 ")) + time, time)


def _evening(rng: random.Random) -> Value:
    hour, minute = rng.randint(3, 11), 5 * rng.randrange(1, 12)
    if rng.random() < 0.3:
        time = f"{hour + 12}:{minute:02d}"
        return Value(time, time)
    time = f"{hour}시 {minute}분"
    return Value("오후 " + time, time)


def _fee(rng: random.Random) -> Value:
    won = 100 * rng.randint(11, 480)
    fee = f"{won:,}원" if rng.random() < 0.7 else f"{won}원"
    return Value(fee, fee)


def _phone(rng: random.Random) -> Value:
    if rng.random() < 0.4:
        extension = str(rng.randrange(2000, 10_000))
        return Value(f"내선 {extension}", extension)
    area = rng.choice(("", "", "02-", "031-", "042-", "051-", "053-", "062-"))
    number = f"{area}{rng.randrange(200, 1000)}-{rng.randrange(10_000):04d}"
    return Value(number, number)


def _code_word(rng: random.Random) -> Value:
    word = rng.choice(_WORDS)
    return Value(word, word)


def _spoken(rng: random.Random) -> Value:
    return spoken_value(rng, "공일이삼사오육칠팔구")


def _extension(rng: random.Random) -> Value:
    extension = str(rng.randrange(100, 1000) if rng.random() < 0.6 else rng.randrange(1000, 10_000))
    return Value(extension + rng.choice(("번", "")), extension)


def _room(rng: random.Random) -> Value:
    room = f"{rng.randint(1, 9)}{rng.randint(1, 48):02d}호"
    return Value(room, room)


def _person(rng: random.Random) -> Value:
    head = rng.choice(_GIVEN_HEADS)
    tail = rng.choice([sound for sound in _GIVEN_TAILS if sound != head])
    name = rng.choice(_SURNAMES) + head + tail
    return Value(name + rng.choice(_TITLES), name)


def _capacity(rng: random.Random) -> Value:
    count = rng.randint(105, 4990) if rng.random() < 0.3 else rng.randint(105, 990)
    return Value(f"{count:,}명", f"{count:,}명")


def _deadline(rng: random.Random) -> Value:
    date = f"{rng.randint(1, 12)}월 {rng.randint(1, _LAST_DAY)}일"
    return Value(date, date)


def _street(rng: random.Random) -> Value:
    street = rng.choice(_STREETS) + rng.choice(("로", "길"))
    address = street if rng.random() < 0.4 else f"{street} {rng.randint(2, 180)}"
    return Value(address, address)


_CODES = "접속 코드;접속 코드;출입 코드;비밀번호;접속 암호;출입 번호;인증번호;보안 코드".split(";")
_ALL = ("venue", "office", "project", "system", "place")
_PLACES = ("venue", "office", "place")

WORDING = Wording(
    fill=fill,
    groups={
        "venue": Group(
            "{stem} {sort}",
            (
                "체육관;수영장;박물관;미술관;식물원;빙상장;문화회관;소극장;천문대;과학관;생태공원;"
                "눈썰매장;캠핑장;탁구장;볼링장;아쿠아리움;민속촌;공연장;전시관;실내 암벽장"
            ).split(";"),
            _town,
        ),
        "office": Group(
            "{stem} {sort}",
            (
                "도서관;보건소;주민센터;복지관;평생학습관;청소년수련관;우체국;어린이집;기록관;"
                "일자리센터;가족센터;관광안내소;농업기술센터;자원봉사센터;동물병원;음악학원"
            ).split(";"),
            _town,
        ),
        "project": Group(
            "{stem} {sort}",
            "프로젝트;사업;장학금;캠페인;연구과제;지원사업;공모전".split(";"),
            _codename,
        ),
        "system": Group(
            "{stem} {sort}",
            (
                "예약 시스템;급여 시스템;문서 서버;통합관제실;전산실;지하주차장;기록물 서고;"
                "배수펌프장;기계실;물류창고;시험실;출입 관리 시스템"
            ).split(";"),
            _town,
        ),
        "place": Group("{stem} {sort}", _PLACE_SORTS, _place),
    },
    kinds=(
        Kind(
            "access_code",
            _ALL,
            _code,
            (
                "{e}의 {n}{은는} {v}입니다.",
                "{e} {n}{은는} {v}{으로} 변경되었습니다.",
                "담당 직원은 {e} {n}{으로} {v}{을를} 입력해야 한다.",
                "{v}{이가} {e}의 새 {n}{이다}.",
                "지난 점검 이후 {e}의 {n}{은는} {v}{이다}.",
                "{e} 이용 시 {n} {v}{을를} 입력하시기 바랍니다.",
            ),
            (
                "{e}의 {n}{은는} 무엇인가요?",
                "{e}의 {n}{은는} 무엇입니까?",
                "{e} {n}{을를} 알려 주세요.",
                "{e}에는 어떤 {n}{을를} 쓰나요?",
                "{e}의 {n}{이가} 뭐예요?",
            ),
            nouns=_CODES,
        ),
        Kind(
            "extension",
            ("office", "place"),
            _extension,
            (
                "{e}의 {n}{은는} {v}입니다.",
                "{e} {n}{은는} {v}{이다}.",
                "{e}에 연락하려면 {n} {v}{을를} 누르면 됩니다.",
                "{e}의 {n}{이가} {v}{으로} 바뀌었습니다.",
            ),
            (
                "{e}의 {n}{은는} 몇 번인가요?",
                "{e}의 {n}{은는} 몇 번입니까?",
                "{e} {n}{을를} 알려 주세요.",
            ),
            nouns=("내선 번호", "내선 번호", "내선", "구내 번호"),
        ),
        Kind(
            "opening_time",
            _PLACES,
            _morning,
            (
                "{e}{은는} {v}에 문을 엽니다.",
                "{e}의 운영 시작 시각은 {v}이다.",
                "평일에는 {e}{이가} {v}에 문을 연다.",
                "{e}{은는} 이달부터 {v}에 운영을 시작합니다.",
                "{e} 입장은 {v}부터 가능합니다.",
            ),
            (
                "{e}{은는} 몇 시에 문을 여나요?",
                "{e}{은는} 몇 시에 문을 엽니까?",
                "{e}의 운영 시작 시각은 언제인가요?",
                "{e}에는 몇 시부터 들어갈 수 있나요?",
                "{e} 문 여는 시간을 알려 주세요.",
            ),
        ),
        Kind(
            "closing_time",
            _PLACES,
            _evening,
            (
                "{e}{은는} {v}에 문을 닫습니다.",
                "{e}의 운영 종료 시각은 {v}이다.",
                "평일에는 {e}{이가} {v}에 문을 닫는다.",
                "겨울철에는 {e} 운영을 {v}에 마감합니다.",
                "{e} 이용객은 문을 닫는 {v}까지 퇴장해 주시기 바랍니다.",
            ),
            (
                "{e}{은는} 몇 시에 문을 닫나요?",
                "{e}{은는} 몇 시에 문을 닫습니까?",
                "{e}의 운영 종료 시각은 언제인가요?",
                "{e} 문 닫는 시간을 알려 주세요.",
            ),
        ),
        Kind(
            "fee",
            ("venue",),
            _fee,
            (
                "{e} 입장료는 {v}입니다.",
                "{e}의 입장료는 성인 기준 {v}이다.",
                "{e}에 들어가려면 입장료 {v}{을를} 내야 한다.",
                "시는 {e} 입장료를 {v}{으로} 정했다.",
                "{e}{은는} 입장료로 {v}{을를} 받습니다.",
            ),
            (
                "{e} 입장료는 얼마인가요?",
                "{e}에 들어가려면 얼마를 내야 하나요?",
                "{e}의 입장료를 알려 주세요.",
            ),
        ),
        Kind(
            "phone",
            _ALL,
            _phone,
            (
                "{e} 문의 전화는 {v}입니다.",
                "{e}에 관한 문의는 {v}번으로 하시기 바랍니다.",
                "{e}에 대해 궁금한 점은 {v}번으로 전화하면 된다.",
                "{e} 담당 부서의 전화번호는 {v}이다.",
                "{e} 관련 상담은 {v}번에서 받습니다.",
            ),
            (
                "{e} 문의 전화번호는 몇 번인가요?",
                "{e}에 대해 문의하려면 몇 번으로 전화해야 하나요?",
                "{e}의 전화번호를 알려 주세요.",
            ),
        ),
        Kind(
            "room",
            _ALL,
            _room,
            (
                "{e} 담당 사무실은 {v}입니다.",
                "{e} 담당 사무실은 {v}에 있다.",
                "{e} 담당 사무실이 {v}{으로} 옮겨졌습니다.",
                "{e} 관련 서류는 담당 사무실인 {v}에 내 주십시오.",
                "{e} 업무를 맡은 사무실은 {v}이다.",
            ),
            (
                "{e} 담당 사무실은 몇 호인가요?",
                "{e} 담당 사무실은 몇 호에 있나요?",
                "{e} 담당 사무실의 호수를 알려 주세요.",
            ),
        ),
        Kind(
            "person",
            _ALL,
            _person,
            (
                "{e} 담당자는 {v}입니다.",
                "{e}의 담당자는 {v}이다.",
                "{v}{이가} {e} 담당자로 지정되었다.",
                "올해부터 {v}{이가} {e}{을를} 담당합니다.",
                "{e}{은는} {v}{이가} 맡고 있다.",
            ),
            (
                "{e} 담당자는 누구인가요?",
                "{e}의 담당자는 누구입니까?",
                "{e}{은는} 누가 맡고 있나요?",
                "{e} 담당자의 이름을 알려 주세요.",
            ),
        ),
        Kind(
            "capacity",
            ("venue",),
            _capacity,
            (
                "{e}의 수용 인원은 {v}입니다.",
                "{e}{은는} 최대 {v}까지 수용할 수 있다.",
                "{e}에는 한 번에 {v}까지만 들어갈 수 있습니다.",
                "보수 공사 후 {e}의 정원은 {v}{으로} 늘었다.",
                "{e}의 최대 수용 인원은 {v}이다.",
            ),
            (
                "{e}의 수용 인원은 몇 명인가요?",
                "{e}에는 최대 몇 명이 들어갈 수 있나요?",
                "{e}의 정원을 알려 주세요.",
            ),
        ),
        Kind(
            "deadline",
            ("office", "project"),
            _deadline,
            (
                "{e} 신청 마감일은 {v}입니다.",
                "{e} 신청은 {v}까지 받는다.",
                "{e} 신청서는 {v}까지 내야 합니다.",
                "{e}의 접수는 {v}에 마감된다.",
                "{e}에 신청하려는 사람은 {v}까지 서류를 내야 한다.",
            ),
            (
                "{e} 신청 마감일은 언제인가요?",
                "{e} 신청은 언제까지 받나요?",
                "{e}의 접수 마감일을 알려 주세요.",
            ),
        ),
        Kind(
            "street",
            _PLACES,
            _street,
            (
                "{e}{은는} {v}에 있습니다.",
                "{e}{은는} {v}에 자리 잡고 있다.",
                "{e}{이가} {v}{으로} 이전했습니다.",
                "{e}의 주소는 {v}이다.",
                "{e}{을를} 찾으시는 분은 {v}{으로} 오시면 됩니다.",
            ),
            (
                "{e}{은는} 어디에 있나요?",
                "{e}의 주소는 어떻게 되나요?",
                "{e}{이가} 있는 길 이름을 알려 주세요.",
            ),
        ),
    ),
    hard={
        "word": Kind(
            "word",
            _ALL,
            _code_word,
            (
                "{e}의 암구호는 {v}입니다.",
                "{e} 암구호가 {v}{으로} 바뀌었습니다.",
                "{e}에서는 암구호로 {v}{을를} 쓴다.",
                "{v}{이가} {e}의 새 암구호{이다}.",
            ),
            (
                "{e}의 암구호는 무엇인가요?",
                "{e} 암구호를 알려 주세요.",
                "{e}에서는 어떤 암구호를 쓰나요?",
            ),
        ),
        "spoken": Kind(
            "spoken",
            _ALL,
            _spoken,
            (
                "{e}의 호출 부호는 {v}입니다.",
                "무전에서는 {e}{을를} {v}{으로} 부른다. 이것이 호출 부호{이다}.",
                "{e} 호출 부호가 {v}{으로} 바뀌었습니다.",
                "{v}{이가} {e}의 호출 부호{이다}.",
            ),
            (
                "{e}의 호출 부호는 무엇인가요?",
                "{e} 호출 부호를 알려 주세요.",
                "{e}의 호출 부호가 뭐예요?",
            ),
        ),
        "uuid": Kind(
            "uuid",
            _ALL,
            uuid_value,
            (
                "{e}의 일련번호는 {v}입니다.",
                "{e}{은는} 일련번호 {v}{으로} 등록되어 있다.",
                "{e} 일련번호가 {v}{으로} 바뀌었습니다.",
                "대장에 적힌 {e}의 일련번호는 {v}이다.",
            ),
            (
                "{e}의 일련번호는 무엇인가요?",
                "{e} 일련번호를 알려 주세요.",
                "{e}{은는} 어떤 일련번호로 등록되어 있나요?",
            ),
        ),
    },
    passkeys=PasskeyWording(
        nouns="패스키;비밀번호;암호;인증번호;접속 코드;보안 코드;비밀 숫자;핀 번호".split(";"),
        sentences=(
            "{n}{은는} {v}입니다.",
            "{n}{은는} {v}이다.",
            "{v}{이가} {n}입니다.",
            "꼭 기억하세요. {n}{은는} {v}입니다.",
            "{n}{은는} {v}{이에요}.",
            "{n}{을를} {v}{으로} 정했습니다.",
            "나중에 필요한 {n}{은는} {v}입니다.",
            "참고로 {n}{은는} {v}이니 잊지 마십시오.",
            "{n}{이가} {v}{으로} 설정되었습니다.",
            "{n}{은는} {v}입니다. 기억하세요. {v}{이가} {n}입니다.",
        ),
        questions=(
            "{n}{은는} 무엇인가요?",
            "{n}{을를} 알려 주세요.",
            "{n}{이가} 뭐예요?",
            "글에 나온 {n}{은는} 무엇입니까?",
            "{n}{을를} 말해 줘.",
        ),
    ),
)
