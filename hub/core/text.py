"""Normalisation of what agencies send, before any check (docs/CONTRACTS.md 1.4)."""

import re
import unicodedata

NULL_WORDS = frozenset({"", "无", "-", "--", "/", "不详", "NULL"})
"""Words that mean "no value" in text, ID, date and phone fields."""

_NO_TEXT = frozenset({"Cc", "Cs"})
_WHITE = re.compile(r"\s+")
_PRIVATE = re.compile("[\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd]")
_ONE_BYTE = re.compile("[\x80-\xb6\xb8-\xff]")
_DOTS = str.maketrans(dict.fromkeys("•‧・∙.", "·"))


def is_plain_text(value: str) -> bool:
    """Whether the text is in normal form (NFC) and without control characters and lone surrogates.

    Such a text can be stored, compared and written in the audit log as it is.
    """
    return unicodedata.is_normalized("NFC", value) and not any(
        unicodedata.category(character) in _NO_TEXT for character in value
    )


def normalise_text(value: str | None) -> str | None:
    """NFKC, outer white space removed; a null word gives ``None``."""
    if value is None:
        return None
    text = unicodedata.normalize("NFKC", value).strip()
    return None if text in NULL_WORDS else text


def normalise_name(name: str) -> str:
    """The form in which names are compared (never stored): no white space, one kind of middle dot."""
    return _WHITE.sub("", unicodedata.normalize("NFKC", name)).translate(_DOTS)


def remove_white_space(value: str) -> str:
    """``value`` without any white space."""
    return _WHITE.sub("", value)


def has_lost_characters(value: str) -> bool:
    """Whether the text contains U+FFFD or private-use characters: what was written cannot be known any more."""
    # Private use is not printable, so the search is seldom needed.
    return "\ufffd" in value or (not value.isprintable() and _PRIVATE.search(value) is not None)


def _is_chinese(character: str) -> bool:
    return "㐀" <= character <= "鿿" or "\U00020000" <= character <= "\U0003ffff"


def repair_mojibake(value: str) -> str | None:
    """The name behind GBK bytes once read as ISO 8859-1, or ``None`` where the rule does not apply.

    All characters must lie in U+0080-U+00FF and their bytes decode as GB 18030 to Chinese characters only
    (social security interface, section 3).
    """
    if not value or max(value) > "\xff" or min(value) < "\x80":
        return None
    try:
        repaired = value.encode("latin-1").decode("gb18030")
    except UnicodeDecodeError:
        return None
    return repaired if all(_is_chinese(c) for c in repaired) else None


def is_mojibake(value: str) -> bool:
    """Whether the text holds characters U+0080-U+00FF, which no name in this prefecture has but ``·`` (U+00B7)."""
    return not value.isascii() and min(value) <= "\xff" and _ONE_BYTE.search(value) is not None
