"""Draws the people: villages of five counties, households by size, families by age, numbers and names.

Sizes are those of rural households in the second agricultural census (mean 3.86); county weights are estimates.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random

from hub.core.areas import COUNTIES, TOWNSHIPS
from hub.core.clock import years_before
from hub.sandbox.numbers import IdNumbers, draw_phone
from hub.sandbox.people import Household, Person, Village
from hub.sandbox.words import draw_given_name, draw_people, draw_surname, word_lists

COUNTY_WEIGHTS = {"533103": 0.31, "533123": 0.27, "533124": 0.17, "533122": 0.15, "533102": 0.10}
"""Share of the prefecture's rural households."""

SIZE_WEIGHTS = (0.0553, 0.1297, 0.2285, 0.2801, 0.1778, 0.0815, 0.0278, 0.0109, 0.0045, 0.0041)
"""Probability of 1, 2, ... 10 members."""

HOUSEHOLDS_PER_VILLAGE = 100
VILLAGES_MAX = 340
_ROSTER_BEGAN = date(2012, 5, 1)
_CLEAR_OF_MAJORITY = timedelta(days=60)  # nobody comes of age while a demonstration runs


@dataclass(slots=True)
class Population:
    """Everybody, and the counters from which further numbers are drawn."""

    as_of: date
    villages: list[Village] = field(default_factory=list)
    households: list[Household] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    ids: IdNumbers = field(default_factory=IdNumbers)
    household_serials: dict[str, int] = field(default_factory=dict)

    def next_household_no(self, county: str) -> str:
        """A fresh household number: H, county, six digits."""
        serial = self.household_serials.get(county, 0) + 1
        self.household_serials[county] = serial
        return f"H{county}{serial:06d}"

    def add_household(self, village: Village, group: str, phone: str) -> Household:
        """An empty household in a village."""
        household = Household(self.next_household_no(village.county), village, group, phone)
        village.households.append(household)
        self.households.append(household)
        return household

    def add_person(
        self, household: Household, rng: Random, name: str, people: str, *, male: bool, born: date, relation: str
    ) -> Person:
        """A new member; a young child may have no ID number yet."""
        years = (self.as_of - born).days / 365.25
        numbered = years >= 18 or rng.random() < (0.4 if years < 6 else 0.85)
        person = Person(
            serial=len(self.people) + 1,
            name=name,
            male=male,
            born=born,
            people=people,
            relation=relation,
            joined=max(_ROSTER_BEGAN, born),
            household=household,
            id_number=self.ids.draw(rng, household.village.county, born, male=male) if numbered else None,
        )
        household.members.append(person)
        self.people.append(person)
        return person


def birth_date_for(rng: Random, years: int, as_of: date) -> date:
    """A birth date of somebody ``years`` old, away from the 18th birthday."""
    youngest = 100 if years == 0 else 1  # nobody is born after the latest refresh of the roster
    born = years_before(as_of, years) - timedelta(days=rng.randrange(youngest, 365))
    majority = years_before(as_of, 18)
    if abs(born - majority) < _CLEAR_OF_MAJORITY:
        born -= 2 * _CLEAR_OF_MAJORITY
    return born


def largest_remainder(total: int, weights: dict[str, float], minimum: int) -> dict[str, int]:
    """``total`` split by weights, every part at least ``minimum``, the sum exact."""
    spare = total - minimum * len(weights)
    quotas = {key: spare * weight / sum(weights.values()) for key, weight in weights.items()}
    parts = {key: int(quota) for key, quota in quotas.items()}
    missing = spare - sum(parts.values())
    for key in sorted(quotas, key=lambda k: (parts[k] - quotas[k], k))[:missing]:
        parts[key] += 1
    return {key: part + minimum for key, part in parts.items()}


def draw_villages(seed: str, count: int) -> list[Village]:
    """``count`` villages, at least one in each county; names within a township never contain one another."""
    rng = Random(f"{seed}/villages")
    lists = word_lists()
    taken_words = "".join(TOWNSHIPS.values()) + "".join(COUNTIES.values()) + "潞西市"
    names = [
        h + t for h in lists["village_heads"] for t in lists["village_tails"] if h + t not in taken_words and h != t
    ]
    rng.shuffle(names)
    villages = []
    for county, part in largest_remainder(count, COUNTY_WEIGHTS, 1).items():
        townships = [code for code in TOWNSHIPS if code[:6] == county and "100" <= code[6:] < "400"]
        rng.shuffle(townships)
        for i in range(part):
            township = townships[i % len(townships)]
            villages.append(
                Village(
                    code=f"{township}{200 + i // len(townships):03d}",
                    name=names.pop() + "村",
                    township=TOWNSHIPS[township],
                    cadre_phone=draw_phone(rng),
                    lends_phone=rng.random() < 0.25,
                )
            )
    return villages


def draw_population(seed: str, households: int, as_of: date) -> Population:
    """All villages and families. Equal arguments give equal people."""
    count = max(len(COUNTY_WEIGHTS), min(VILLAGES_MAX, households // HOUSEHOLDS_PER_VILLAGE))
    population = Population(as_of, draw_villages(seed, count))
    per_village, spare = divmod(households, count)
    for i, village in enumerate(population.villages):
        rng = Random(f"{seed}/{village.code}")
        local = draw_people(rng)
        for _ in range(per_village + (1 if i < spare else 0)):
            people = local if rng.random() < 0.7 else draw_people(rng)
            _draw_household(population, rng, village, people)
    return population


def _draw_household(population: Population, rng: Random, village: Village, people: str) -> None:
    phone = draw_phone(rng)
    chance = rng.random()
    if chance < 0.08:
        phone = ""
    elif village.lends_phone and chance < 0.30:
        phone = village.cadre_phone
    group = f"{rng.randrange(1, 12):02d}" if rng.random() > 0.04 else ""
    household = population.add_household(village, group, phone)
    size = rng.choices(range(1, 11), SIZE_WEIGHTS)[0]
    age = rng.randrange(45, 86) if size == 1 else rng.randrange(26, 70)
    family = _Family(population, household, rng, people, draw_surname(rng, people))
    head = family.add(age, "02", male=rng.random() < 0.85)
    if size > 1 and rng.random() < 0.93:
        spouse_age = max(20, age + rng.randrange(-5, 4))
        spouse = family.add(spouse_age, "12" if head.male else "11", male=not head.male, own_surname=True)
        spouse.joined = max(spouse.joined, _marriage(rng, spouse, population.as_of))
    while len(household.members) < size:
        family.add_relative(age)


def _marriage(rng: Random, person: Person, as_of: date) -> date:
    latest = (as_of - person.born).days - 200
    return person.born + timedelta(days=min(latest, rng.randrange(20 * 365, 26 * 365)))


class _Family:
    """Adds members to one household with plausible ages, relations (GB/T 4761) and surnames."""

    def __init__(self, population: Population, household: Household, rng: Random, people: str, surname: str) -> None:
        self._population = population
        self._household = household
        self._rng = rng
        self._people = people
        self._surname = surname
        self._parents: set[str] = set()

    def add(self, age: int, relation: str, *, male: bool, own_surname: bool = False) -> Person:
        rng = self._rng
        surname = draw_surname(rng, self._people) if own_surname else self._surname
        name = surname + draw_given_name(rng, self._people, male=male)
        born = birth_date_for(rng, age, self._population.as_of)
        return self._population.add_person(
            self._household, rng, name, self._people, male=male, born=born, relation=relation
        )

    def add_relative(self, head_age: int) -> None:
        """A parent while the head is young enough, else a child or grandchild."""
        rng = self._rng
        chance = rng.random()
        if head_age < 62 and chance < 0.25 and len(self._parents) < 2:
            relation = "51" if "51" not in self._parents else "52"
            self._parents.add(relation)
            self.add(
                min(94, head_age + rng.randrange(20, 33)), relation, male=relation == "51", own_surname=relation == "52"
            )
            return
        male = rng.random() < 0.52
        if head_age > 52 and chance > 0.7:
            age = max(0, head_age - rng.randrange(44, 58))
            self.add(age, "41" if male else "42", male=male)
            return
        age = max(0, head_age - rng.randrange(20, 34))
        self.add(age, rng.choice(("21", "22", "23")) if male else rng.choice(("31", "32", "33")), male=male)
