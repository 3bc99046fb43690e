"""Numbers that people and traders carry (ID numbers, credit codes, phones), and how typing damages them."""

from datetime import date
from random import Random

from hub.core.identifiers import id_check_character, uscc_check_character
from hub.core.names import QuarantineReason

_OLD_AREAS = {"533103": ("533121",), "533102": ("533125", "533101"), "533122": (), "533123": (), "533124": ()}
_FAR_AREAS = ("510225", "533023", "533521", "532922", "530381")
_PHONE_HEADS = ("138", "139", "150", "151", "158", "159", "182", "183", "187", "188")
_FULL_WIDTH = str.maketrans("0123456789X", "０１２３４５６７８９Ｘ")
_USCC_LETTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


class IdNumbers:
    """Gives out ID numbers, none twice. Deterministic for a given generator."""

    def __init__(self) -> None:
        self._given: set[str] = set()

    def draw(self, rng: Random, county: str, born: date, *, male: bool) -> str:
        """A fresh 18-character number; older people often carry the code of an abolished or far county."""
        area = county
        chance = rng.random()
        if born.year < 1988 and chance < 0.4 and _OLD_AREAS[county]:
            area = rng.choice(_OLD_AREAS[county])
        elif chance > 0.985:
            area = rng.choice(_FAR_AREAS)
        while True:
            serial = rng.randrange(0, 495) * 2 + (1 if male else 2)
            first17 = f"{area}{born:%Y%m%d}{serial:03d}"
            if first17 not in self._given:
                self._given.add(first17)
                return first17 + id_check_character(first17)


def short_form(id_number: str) -> str:
    """The 15-digit form of a number of somebody born in the 1900s."""
    return id_number[:6] + id_number[8:17]


def has_short_form(id_number: str) -> bool:
    """Whether a 15-digit form exists and is upgraded back to the same number."""
    return id_number[6:8] == "19" and id_number[14:17] < "996"


def draw_trader_code(rng: Random, area: str, head: str = "92") -> str:
    """A unified social credit code: sole traders begin with 92, co-operatives with 93, rural collectives with N."""
    first17 = head + area + "MA" + "".join(rng.choice(_USCC_LETTERS) for _ in range(7))
    return first17 + uscc_check_character(first17)


def break_trader_code(code: str) -> str:
    """The code with a wrong check character."""
    return code[:17] + ("1" if code[17] != "1" else "2")


def draw_phone(rng: Random) -> str:
    """A mobile number."""
    return rng.choice(_PHONE_HEADS) + f"{rng.randrange(10**8):08d}"


def dress(rng: Random, id_number: str) -> str:
    """A valid number as people type it: lower-case x, full-width digits, inner blanks."""
    match rng.randrange(3):
        case 0:
            return id_number.lower()
        case 1:
            return id_number.translate(_FULL_WIDTH)
        case _:
            return f"{id_number[:6]} {id_number[6:14]} {id_number[14:]}"


def damage(rng: Random, id_number: str, reason: QuarantineReason) -> str | None:
    """The number damaged so that exactly ``reason`` is its fate. Raises :class:`ValueError` for another reason."""
    match reason:
        case QuarantineReason.ID_MISSING:
            return rng.choice((None, "", "无", "0", "不详"))
        case QuarantineReason.ID_PRECISION_LOST:
            lost = id_number[:15] + "000"
            if rng.random() < 0.5 or id_check_character(lost[:17]) == "0":
                return f"{id_number[0]}.{id_number[1:6]}E+17"
            return lost
        case QuarantineReason.ID_FORMAT:
            return rng.choice((id_number[:17], id_number[:9] + "O" + id_number[10:], id_number[:10]))
        case QuarantineReason.ID_CHECK_DIGIT:
            right = id_number[17]
            return id_number[:17] + next(c for c in "1234567" if c != right)
        case QuarantineReason.ID_BIRTH_DATE:
            first17 = id_number[:6] + rng.choice(("19850230", "18880314", "19791301")) + id_number[14:17]
            return first17 + id_check_character(first17)
    raise ValueError(f"{reason.name} is not a damage of an ID number")


ID_DAMAGES = (
    QuarantineReason.ID_MISSING,
    QuarantineReason.ID_PRECISION_LOST,
    QuarantineReason.ID_FORMAT,
    QuarantineReason.ID_CHECK_DIGIT,
    QuarantineReason.ID_BIRTH_DATE,
)
"""What :func:`damage` can do."""


def mojibake(name: str) -> str | None:
    """GBK bytes read as ISO 8859-1, if that can be repaired (all bytes above 0x7F), else ``None``."""
    encoded = name.encode("gb18030")
    return encoded.decode("latin-1") if min(encoded) >= 0x80 else None
