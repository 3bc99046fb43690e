"""Where a row says that the person lives, as far as its words tell: village, township or county. Pure.

More forgiving than the exact rule (hub/records/people/places.py): a village may stand without its township, a name may
lack
its last character or be written with others of the same sound, and old names count. What is found is evidence, no link.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hub.core.areas import COUNTIES, TOWNSHIPS
from hub.core.text import remove_white_space
from hub.records.linkage.naming import sounds
from hub.records.people.places import VillageName

_OLD_COUNTIES = {"潞西": "533103", "芒市": "533103", "畹町": "533102"}
"""潞西 was renamed 芒市 in 2010; 畹町市 became part of 瑞丽 in 1999."""

_TOWNSHIP_ENDS = ("街道", "民族乡", "镇", "乡", "农场")
_VILLAGE_ENDS = ("村民委员会", "村委会", "村", "寨")


class Place(NamedTuple):
    """Codes of village (12 digits), township (9) and county (6), as far as they are known."""

    village: str | None = None
    township: str | None = None
    county: str | None = None


def place_of_village(code: str) -> Place:
    """The place of a household with this village code."""
    return Place(code, code[:9], code[:6])


class Locator:
    """Reads addresses; made once from all names that the roster gives to villages, old ones included."""

    def __init__(self, names: Iterable[VillageName]) -> None:
        townships: defaultdict[str, set[str]] = defaultdict(set)
        self._villages: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        self._everywhere: defaultdict[str, set[str]] = defaultdict(set)
        for code, name in TOWNSHIPS.items():
            townships[name].add(code)
        for code, township, village in names:
            townships[remove_white_space(township)].add(code[:9])
            short = _cut(remove_white_space(village), _VILLAGE_ENDS)
            if len(short) > 1:
                self._villages[code[:9]].add((short, code))
                self._everywhere[short].add(code)
        self._townships: Mapping[str, set[str]] = townships
        counties = {short for name in COUNTIES.values() for short in (name, name[:-1])}
        shorter = {_cut(name, _TOWNSHIP_ENDS): codes for name, codes in townships.items()}
        self._short_townships = {name: codes for name, codes in shorter.items() if name not in counties}

    def locate(self, address: str | None) -> Place:
        """What the address tells; a contradiction or several equally good readings tell the part they agree in."""
        text = remove_white_space(address or "")
        if not text:
            return Place()
        townships = _named(self._townships, text) or _named(self._short_townships, text)
        villages = self._villages_in(townships, text) if townships else self._villages_anywhere(text)
        if len(villages) == 1:
            return place_of_village(villages.pop())
        if len(townships) == 1:
            township = townships.pop()
            return Place(None, township, township[:6])
        counties = {code[:6] for code in villages or townships} or _counties(text)
        return Place(county=counties.pop()) if len(counties) == 1 else Place()

    def _villages_in(self, townships: set[str], text: str) -> set[str]:
        known = [entry for township in townships for entry in self._villages[township]]
        found = {code for name, code in known if name in text}
        if found:
            return found
        heard = f" {' '.join(sounds(text))} "
        return {code for name, code in known if f" {' '.join(sounds(name))} " in heard}

    def _villages_anywhere(self, text: str) -> set[str]:
        return {code for name, codes in self._everywhere.items() if name in text for code in codes}


def _named(names: Mapping[str, set[str]], text: str) -> set[str]:
    """Codes of the longest names that stand in the text; 芒市镇 is not 芒市."""
    found = [name for name in names if len(name) > 1 and name in text]
    longest = [name for name in found if not any(name != other and name in other for other in found)]
    return {code for name in longest for code in names[name]}


def _counties(text: str) -> set[str]:
    codes = {code for code, name in COUNTIES.items() if name in text or name[:-1] in text}
    return codes or {code for name, code in _OLD_COUNTIES.items() if name in text}


def _cut(name: str, endings: Iterable[str]) -> str:
    for ending in endings:
        if name.endswith(ending) and len(name) > len(ending) + 1:
            return name[: -len(ending)]
    return name
