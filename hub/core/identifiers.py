"""Identity numbers (GB 11643-1999) and unified social credit codes (GB 32100-2015).

The area part of an ID number is never checked: numbers carry codes of counties long abolished. An ID number is personal
data; none of the errors here repeats it.
"""

import re
import unicodedata
from datetime import date
from functools import lru_cache
from operator import mul

from hub.core.clock import full_years
from hub.core.names import QuarantineReason
from hub.core.text import NULL_WORDS, normalise_text, remove_white_space

_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ID_ZEROS = sum(_ID_WEIGHTS) * ord("0")
_ID_CHECK = "10X98765432"
_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_USCC_SHAPE = re.compile(r"[1-9ANY][0-9A-HJ-NPQRTUWXY][0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}")
_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?E\+?[0-9]+")
_DIGITS_15 = re.compile(r"[0-9]{15}")
_ID_NULL_WORDS = NULL_WORDS | {"0"}

_SPELT = str.maketrans("零〇○一二三四五六七八九壹贰叁肆伍陆柒捌玖两xХхΧχ×", "0001234567891234567892XXXXXX")
_DIGITS_ON_END = re.compile(r"[0-9]{15}")
_OLD_NUMBER = re.compile(r"(?<![0-9])[0-9]{8}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{3}(?![0-9])")
_NO_LATER = date(2099, 12, 31)
_WHOLE_NUMBER = re.compile(
    r"(?=((?:1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91)[0-9]{4}(?:19|20)[0-9]{9}[0-9X]))"
)
"""What stands at any place in a text and begins like a province, with a year of birth where one belongs."""

ADULT_AGE = 18
"""Age of full civil capacity in completed years (民法典 art. 17)."""


def id_check_character(first17: str) -> str:
    """The check character of 17 digits (ISO 7064 MOD 11-2, GB 11643)."""
    if len(first17) != 17 or not (first17.isascii() and first17.isdigit()):
        raise ValueError("a check character is made of 17 digits")
    return _ID_CHECK[(sum(map(mul, _ID_WEIGHTS, first17.encode())) - _ID_ZEROS) % 11]


def upgrade_15_digits(number: str) -> str:
    """The 18-character form of an old 15-digit number: ``19`` after the area, then the check character."""
    first17 = number[:6] + "19" + number[6:]
    return first17 + id_check_character(first17)


def clean_id_number(value: str | None) -> str | None:
    """What was typed into an ID field, without blanks and a leading apostrophe, upper case; ``None`` if no value."""
    if value is not None and len(value) == 18 and value.isascii() and value.isdigit():
        return value  # as nearly all are written
    text = normalise_text(value)
    if text is None:
        return None
    # Once more, because characters that the blanks kept apart may now combine.
    text = normalise_text(remove_white_space(text).lstrip("'").upper())
    return None if text in _ID_NULL_WORDS else text


def check_id_number(cleaned: str, today: date) -> str | QuarantineReason:
    """The 18-character ID number behind a cleaned field, or why there is none.

    ``cleaned`` comes from :func:`clean_id_number`. A 15-digit number is upgraded; serials 996-999 were given to
    centenarians, so their century is unknown and they are refused.
    """
    if "E" in cleaned and _SCIENTIFIC.fullmatch(cleaned):
        return QuarantineReason.ID_PRECISION_LOST
    if len(cleaned) == 15 and _DIGITS_15.fullmatch(cleaned):
        if cleaned[12:] >= "996":
            return QuarantineReason.ID_FORMAT
        cleaned = upgrade_15_digits(cleaned)
    first17 = cleaned[:17]
    if len(cleaned) != 18 or not (first17.isascii() and first17.isdigit()) or cleaned[17] not in _ID_CHECK:
        return QuarantineReason.ID_FORMAT
    if id_check_character(first17) != cleaned[17]:
        return QuarantineReason.ID_PRECISION_LOST if cleaned.endswith("000") else QuarantineReason.ID_CHECK_DIGIT
    born = _birth_date(cleaned)
    if born is None or born.year < 1900 or born > today:
        return QuarantineReason.ID_BIRTH_DATE
    return cleaned


def _birth_date(id_number: str) -> date | None:
    return _day_in(id_number[6:14])


@lru_cache(50_000)
def _day_in(digits: str) -> date | None:
    """The day in eight digits; there are fewer birthdays than people."""
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        return None


def birth_date(id_number: str) -> date:
    """The birth date in a checked 18-character number."""
    born = _birth_date(id_number)
    assert born is not None, "only checked numbers may be asked for their birth date"
    return born


def is_adult(born: date, on: date) -> bool:
    """Whether a person born on ``born`` is 18 or older on the day ``on``."""
    return full_years(born, on) >= ADULT_AGE


def names_id_number(text: str) -> bool:
    """Whether a text names an ID number, however it is spaced, punctuated or spelt.

    That are 15 digits on end; 15 with nothing but signs between them that hold a day of birth; and a number of 18
    characters whose check character is right, whatever stands between them. Dates and amounts in a row seldom are.
    """
    spelt = unicodedata.normalize("NFKC", text).translate(_SPELT)
    digits = "".join(_digit_of(character) for character in spelt)
    joined = "".join(character for character in digits if character.isalnum())
    bare = "".join(character for character in digits if character in "0123456789X")
    return (
        _DIGITS_ON_END.search(remove_white_space(digits)) is not None
        or _OLD_NUMBER.search(joined) is not None
        or any(isinstance(check_id_number(found, _NO_LATER), str) for found in _WHOLE_NUMBER.findall(bare))
    )


def _digit_of(character: str) -> str:
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)


def mask_id_number(id_number: str) -> str:
    """First six and last four characters, eight asterisks between them."""
    return f"{id_number[:6]}********{id_number[-4:]}"


def is_uscc(code: str) -> bool:
    """Whether an upper-case code is a valid unified social credit code, rural collectives (``N``) included."""
    if not _USCC_SHAPE.fullmatch(code):
        return False
    total = sum(w * _USCC_ALPHABET.index(c) for w, c in zip(_USCC_WEIGHTS, code[:17], strict=True))
    return _USCC_ALPHABET[(31 - total % 31) % 31] == code[17]


def uscc_check_character(first17: str) -> str:
    """The check character of the first 17 characters of a code (GB 32100)."""
    total = sum(w * _USCC_ALPHABET.index(c) for w, c in zip(_USCC_WEIGHTS, first17, strict=True))
    return _USCC_ALPHABET[(31 - total % 31) % 31]
