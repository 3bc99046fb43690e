"""The story household: one family whose record is full enough to show everything, in every world of every seed.

It lives in the first village. The borrower (head) has a shop with tax records, social insurance, clinic arrears on a
repayment plan, a line and a loan at the rural commercial bank, and a loan at the village bank that is overdue with
notice given (the one adverse item); there his name is spelt differently (a conflict). His wife guarantees a loan, his
father draws a pension, the household is on low-income relief, a grown son and a young daughter live with them. No dirt
is put on any row of theirs.
"""

from dataclasses import dataclass
from datetime import date
from random import Random

from hub.sandbox.people import Household, Person
from hub.sandbox.population import Population


@dataclass(frozen=True, slots=True)
class Story:
    """The family, by role."""

    household: Household
    borrower: Person
    spouse: Person
    father: Person
    son: Person
    daughter: Person


def add_story(population: Population, rng: Random) -> Story:
    """Add the family to the first village."""
    village = population.villages[0]
    household = population.add_household(village, "03", "13800000001")
    household.story = True
    year = population.as_of.year

    def add(name: str, relation: str, age: int, *, male: bool) -> Person:
        person = population.add_person(
            household, rng, name, "dai", male=male, born=date(year - age, 3, 12), relation=relation
        )
        if person.id_number is None:
            person.id_number = population.ids.draw(rng, village.county, person.born, male=male)
        return person

    borrower = add("刀岩团", "02", 43, male=True)
    spouse = add("线小凤", "12", 41, male=False)
    father = add("刀保", "51", 69, male=True)
    son = add("刀明亮", "22", 21, male=True)
    daughter = add("刀月喊", "32", 13, male=False)
    return Story(household, borrower, spouse, father, son, daughter)
