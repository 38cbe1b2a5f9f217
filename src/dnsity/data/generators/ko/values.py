"""Korean names and values for needles: towns, people, codes, times, fees and the like."""

from __future__ import annotations

import random

from dnsity.data.generators.wording import Value, extension_number, spoken_value

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
    "가래떡 가마솥 갈매기 개똥벌레 개미핥기 거문고 고드름 고등어 고래등 곤드레 구절판 굴렁쇠 "
    "귀뚜라미 금붕어 꼬리연 꽃게탕 나팔꽃 너구리 노루귀 누룽지 다람쥐 달팽이 대장간 도깨비 "
    "도롱뇽 동치미 두루마기 딱따구리 떡갈나무 똬리 롤케이크 마이크로폰 만화경 망원경 맷돌 "
    "메뚜기 모닥불 무말랭이 물레 미꾸라지 바람개비 반딧불이 방울토마토 배롱나무 병아리콩 "
    "복주머니 부침개 북극곰 비눗방울 뻐꾸기 사마귀 산딸기 삿갓 새끼줄 색동저고리 소금쟁이 "
    "솔방울 수수깡 숨바꼭질 쌍안경 썰매개 아지랑이 양탄자 얼레빗 여우비 연날리기 오목렌즈 "
    "오카리나 왕잠자리 우엉차 윷가락 은방울꽃 자명종 잠수함 장구벌레 저울추 조각보 족두리 "
    "주사위 지팡이 짚신 참깨강정 청개구리 초롱불 코뿔소 크레파스 탈춤 탬버린 톱니바퀴 "
    "트라이앵글 팔랑개비 팽이버섯 펭귄 풀피리 하모니카 함박눈 항아리 해당화 호두과자 "
    "화롯불 회전목마 휘파람"
).split()
_PLACE_STEMS = (
    "가족 공동 공용 구관 구내 낡은 남성 남쪽 노란 다목적 대형 동관 동쪽 뒤뜰 바깥쪽 별채 보조 부속 "
    "북관 북쪽 붉은 비상 서관 서쪽 소형 손님 신관 아래층 안뜰 안쪽 앞뜰 야간 어린이 여성 옥상 외부 "
    "위층 이층 임시 작은 전통 제이 제일 주민 중앙 지역 지하 직원 청년 초록 통합 푸른 학생 회원 흰"
).split()
PLACE_SORTS = (
    "강의실;객실;건조실;경비실;공방;공연실;관리실;교실;급식소;놀이방;다실;대기실;대여소;독서실;"
    "동아리방;매점;매표소;모임방;목공실;방송실;배움터;비품실;사랑방;사무실;상담소;상영관;세탁실;"
    "수유실;숙소;쉼터;식당;신고 센터;실험실;안내소;연구실;연습실;온실;운동장;응접실;의무실;"
    "자료실;작업실;전시실;접견실;정원;주방;차고;찻집;창고;체력 단련실;카페;탈의실;텃밭지기방;"
    "학습실;홍보관;회의실;휴게실"
).split(";")
_LAST_DAY = 28  # a day that every month has


def town(rng: random.Random) -> str:
    """Sample a town."""
    head = rng.choice(_TOWN_HEADS)
    tail = rng.choice([sound for sound in _TOWN_TAILS if sound != head])
    end = rng.choice([sound for sound in _TOWN_ENDS if sound != tail])
    return head + tail + end


def place(rng: random.Random) -> str:
    """Sample the word before a kind of place."""
    return rng.choice(_PLACE_STEMS)


def codename(rng: random.Random) -> str:
    """Sample the name of a project."""
    name = rng.choice(_CODENAMES)
    return name if rng.random() < 0.4 else f"{town(rng)} {name}"


def morning(rng: random.Random) -> Value:
    """Sample an opening time."""
    hour, minute = rng.randint(6, 11), 5 * rng.randrange(1, 12)
    if rng.random() < 0.3:
        time = f"{hour}:{minute:02d}"
        return Value(time, time)
    time = f"{hour}시 {minute}분"
    return Value(rng.choice(("오전 ", "오전 ", "아침 ")) + time, time)


def evening(rng: random.Random) -> Value:
    """Sample a closing time."""
    hour, minute = rng.randint(3, 11), 5 * rng.randrange(1, 12)
    if rng.random() < 0.3:
        time = f"{hour + 12}:{minute:02d}"
        return Value(time, time)
    time = f"{hour}시 {minute}분"
    return Value("오후 " + time, time)


def fee(rng: random.Random) -> Value:
    """Sample an admission fee."""
    won = 100 * rng.randint(11, 480)
    fee = f"{won:,}원" if rng.random() < 0.7 else f"{won}원"
    return Value(fee, fee)


def phone(rng: random.Random) -> Value:
    """Sample a telephone number."""
    area = rng.choice(("", "", "02-", "031-", "042-", "051-", "053-", "062-"))
    number = f"{area}{rng.randrange(200, 1000)}-{rng.randrange(10_000):04d}"
    return Value(number, number)


def code_word(rng: random.Random) -> Value:
    """Sample a code word."""
    word = rng.choice(_WORDS)
    return Value(word, word)


def spoken(rng: random.Random) -> Value:
    """Sample a number spelled digit by digit."""
    return spoken_value(rng, "공일이삼사오육칠팔구")


def extension(rng: random.Random) -> Value:
    """Sample a telephone extension."""
    extension = extension_number(rng)
    return Value(extension + rng.choice(("번", "")), extension)


def room(rng: random.Random) -> Value:
    """Sample the number of a room."""
    room = f"{rng.randint(1, 9)}{rng.randint(1, 48):02d}호"
    return Value(room, room)


def person(rng: random.Random) -> Value:
    """Sample the name of a person."""
    head = rng.choice(_GIVEN_HEADS)
    tail = rng.choice([sound for sound in _GIVEN_TAILS if sound != head])
    name = rng.choice(_SURNAMES) + head + tail
    return Value(name + rng.choice(_TITLES), name)


def capacity(rng: random.Random) -> Value:
    """Sample a number of people."""
    count = rng.randint(105, 4990) if rng.random() < 0.3 else rng.randint(105, 990)
    return Value(f"{count:,}명", f"{count:,}명")


def deadline(rng: random.Random) -> Value:
    """Sample a day of the year."""
    date = f"{rng.randint(1, 12)}월 {rng.randint(1, _LAST_DAY)}일"
    return Value(date, date)


def street(rng: random.Random) -> Value:
    """Sample the name of a street."""
    street = rng.choice(_STREETS) + rng.choice(("로", "길"))
    address = street if rng.random() < 0.4 else f"{street} {rng.randint(2, 180)}"
    return Value(address, address)
