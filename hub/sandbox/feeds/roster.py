"""Who can be meant by a name in a village: the exact rule for rows without ID number (docs/CONTRACTS.md 1.3)."""

from collections import Counter, defaultdict
from datetime import date

from hub.core.names import LinkState
from hub.core.text import normalise_name
from hub.sandbox.people import Household, Person

PHONE_SHARED_MAX = 5


class VillageRoster:
    """Index of the living adults on the roster, by village and name."""

    def __init__(self, households: list[Household], hidden: set[int], as_of: date) -> None:
        """``hidden`` are the serials of people whose roster row is damaged."""
        self._people: dict[tuple[str, str], list[Person]] = defaultdict(list)
        self._phones = Counter(h.phone for h in households if h.phone and not h.cancelled)
        for household in households:
            for person in household.members:
                if person.died is None and person.serial not in hidden and person.age(as_of) >= 18:
                    self._people[household.village.code, normalise_name(person.name)].append(person)

    def namesakes(self) -> list[list[Person]]:
        """Groups of people of one name in one village who live in different households."""
        groups = (people for _, people in sorted(self._people.items()))
        return [g for g in groups if len({p.household.number for p in g}) > 1]

    def link(self, village_code: str, name: str, phone: str) -> tuple[LinkState, list[Person]]:
        """The state that a row must get, and the candidates."""
        candidates = self._people.get((village_code, normalise_name(name)), [])
        if not candidates:
            return LinkState.UNLINKED, []
        if len(candidates) == 1:
            return LinkState.PROBABLE, candidates
        by_phone = [p for p in candidates if phone and p.household.phone == phone]
        if len(by_phone) == 1 and self._phones[phone] <= PHONE_SHARED_MAX:
            return LinkState.PROBABLE, by_phone
        return LinkState.REVIEW, candidates
