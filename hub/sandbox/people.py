"""People, households and villages of the synthetic prefecture, as they truly are on the day of the world."""

from dataclasses import dataclass, field
from datetime import date

from hub.core.clock import full_years


@dataclass(slots=True, eq=False)
class Village:
    """An administrative village: 12-digit code, own name ending in 村, and the phone that its cadre lends."""

    code: str
    name: str
    township: str
    cadre_phone: str
    lends_phone: bool
    households: list["Household"] = field(default_factory=list)

    @property
    def county(self) -> str:
        """6-digit county code."""
        return self.code[:6]


@dataclass(slots=True, eq=False)
class Person:
    """One person. ``id_number`` is the number valid today, ``None`` for a child without one.

    ``old_number`` is the number before a correction by the police. ``serial`` counts people from 1 and makes the
    numbers under which agencies know them.
    """

    serial: int
    name: str
    male: bool
    born: date
    people: str
    relation: str
    joined: date
    household: "Household"
    id_number: str | None
    old_number: str | None = None
    died: date | None = None

    @property
    def member_no(self) -> str:
        """Number of the membership in the civil affairs roster (cybh)."""
        return f"C{self.serial:07d}"

    @property
    def number(self) -> str:
        """The ID number of somebody who has one."""
        assert self.id_number is not None, "only people with a number may be asked for it"
        return self.id_number

    def age(self, on: date) -> int:
        """Completed years."""
        return full_years(self.born, on)


@dataclass(slots=True, eq=False)
class Household:
    """One household of the roster, in its true present state."""

    number: str
    village: Village
    group: str
    phone: str
    members: list[Person] = field(default_factory=list)
    cancelled: bool = False
    story: bool = False

    @property
    def head(self) -> Person:
        """The head (relation 02), or the first member."""
        return next((m for m in self.members if m.relation == "02"), self.members[0])

    def adults(self, on: date) -> list[Person]:
        """Living members of 18 and more who carry a number."""
        return [m for m in self.members if m.died is None and m.id_number is not None and m.age(on) >= 18]
