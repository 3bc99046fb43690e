"""The forms in which names of this prefecture are compared when they are not written alike. Pure.

Han, Dai, Jingpo, De'ang, Lisu and Achang names are written down by clerks who hear them: with other characters of the
same sound, with the customary variants of a transliteration, with or without the middle dot, in another order of parts.
Each form below forgets one of these differences.
"""

from functools import lru_cache
from typing import NamedTuple

from pypinyin import Style, pinyin

from hub.core.text import normalise_name

VARIANTS = (
    "艾岩", "罕喊汉旱", "曩囊", "线限宪", "腊拉喇辣", "团囤", "芝枝", "凤风", "英莹", "兰蓝", "勒乐", "们闷焖",
    "诺糯", "板版", "麻马", "所索", "翁瓮", "阿啊", "波泼", "相象向", "晃煌",
)  # fmt: skip
"""Characters that stand for one syllable of a Dai, Jingpo or De'ang name, a group each; 岩 is read ai."""

_FOLD = str.maketrans({other: group[0] for group in VARIANTS for other in group[1:]})

UNKNOWN = frozenset("?？□○〇*＊×_")
"""What is typed for a character that nobody could type."""

_INITIALS = (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"))
_FINALS = (("ang", "an"), ("eng", "en"), ("ing", "in"))
_ROUNDED = {"yu": "yi", "yue": "ye", "yuan": "yan", "yun": "yin", "lv": "li", "nv": "ni", "ju": "ji", "qu": "qi",
            "xu": "xi", "jue": "jie", "que": "qie", "xue": "xie", "juan": "jian", "quan": "qian", "xuan": "xian",
            "jun": "jin", "qun": "qin", "xun": "xin"}  # fmt: skip
"""The Mandarin of Yunnan has no rounded front vowel: 玉 and 艺, 云 and 银 sound alike."""


class NameForms(NamedTuple):
    """One name in all its forms; ``syllables`` are tone-less pinyin, joined by a blank, in ascending order."""

    name: str
    plain: str
    folded: str
    sound: str
    loose: str
    syllables: str
    first_two: str
    last_two: str
    ends: str
    has_gap: bool


@lru_cache(maxsize=65_536)
def _syllable(character: str) -> str:
    read: str = pinyin(character, style=Style.NORMAL, errors="default")[0][0]
    return read.lower()


@lru_cache(maxsize=8_192)
def _loosened(syllable: str) -> str:
    text = _ROUNDED.get(syllable, syllable)
    for heard, kept in _INITIALS:
        if text.startswith(heard):
            text = kept + text[len(heard) :]
            break
    for heard, kept in _FINALS:
        if text.endswith(heard):
            return text[: -len(heard)] + kept
    return text


def sounds(text: str) -> list[str]:
    """Tone-less pinyin, syllable by syllable; a run of letters is one syllable, as when pinyin itself was typed."""
    found: list[str] = []
    letters = ""
    for character in text:
        if character.isascii() and character.isalpha():
            letters += character.lower()
            continue
        if letters:
            found.append(letters)
            letters = ""
        found.append(_syllable(character))
    return [*found, letters] if letters else found


def name_forms(name: str) -> NameForms:
    """All forms of a name as delivered."""
    normal = normalise_name(name)
    plain = normal.replace("·", "")
    folded = plain.translate(_FOLD)
    heard = sounds(folded)
    loose = [_loosened(syllable) for syllable in heard]
    return NameForms(
        name=normal,
        plain=plain,
        folded=folded,
        sound=" ".join(heard),
        loose=" ".join(loose),
        syllables=" ".join(sorted(loose)),
        first_two=" ".join(loose[:2]),
        last_two=" ".join(loose[-2:]),
        ends=" ".join((loose[0], loose[-1])) if loose else "",
        has_gap=any(character in UNKNOWN for character in plain),
    )
