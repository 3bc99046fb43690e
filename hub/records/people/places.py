"""Resolves addresses as people write them to villages of the roster. No input or output."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hub.core.text import remove_white_space


class VillageName(NamedTuple):
    """What one household row calls its village."""

    village_code: str
    township: str
    village: str


class Gazetteer:
    """The villages of the roster by the names their households give them."""

    def __init__(self, names: Iterable[VillageName]) -> None:
        by_township: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for name in names:
            township, village = remove_white_space(name.township), remove_white_space(name.village)
            village = village.removesuffix("村")
            if township and village:
                by_township[township].add((village, name.village_code))
        self._by_township: Mapping[str, set[tuple[str, str]]] = by_township

    def resolve(self, address: str | None) -> str | None:
        """The one village whose township and village name both stand in the text (clinic interface, section 6).

        ``None`` where the text fits no village or more than one. A final ``村`` of the village name does not count.
        """
        text = remove_white_space(address or "")
        fitting = {
            code
            for township, villages in self._by_township.items()
            if township in text
            for village, code in villages
            if village in text
        }
        return fitting.pop() if len(fitting) == 1 else None
