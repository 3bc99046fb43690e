"""Rows that name people badly, with the truth beside them: what linkage is tuned on and measured with.

Kinds and rates follow the catalogue of dirt (names misheard, transliterated, reordered, cut; addresses in old words or
missing; phones of cadres and relatives; numbers mistyped, cut, replaced), made denser, because only rows that the exact
rule cannot place are of interest. Some rows are about strangers who are on no roster.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from pypinyin import Style, pinyin

from hub.sandbox.feeds.dirt import misspell
from hub.sandbox.numbers import draw_phone
from hub.sandbox.people import Household, Person
from hub.sandbox.population import Population
from hub.sandbox.words import draw_given_name, draw_people, draw_surname

STRANGERS = 0.07
"""Share of rows about people who are on no roster."""

NUMBERED = 0.2
"""Share of rows with a number, always damaged."""

_COMMON = (
    "伟强军勇明华建国志正祥庆文斌兴旺德光荣学加林绍武成保山金贵云龙海天寿芳娜敏静秀英丽兰凤仙桂芝翠莲玉小燕春梅美芬"
    "改焕会艳琼惠红玲雪刀召罕多思线放曩半闷板管方恩昆麻勒木排何石岳尹雷孔干诺腊都当早果鲁锐图南曹赵孙们郎梁杨余蜂熊"
    "胡荞密阿普邓克才三妮恰付开李罗所左约翁二叶安立包团相晃喊岩月张王陈黄周许郭蒋董谢段寸番刘岚莹颖磊鑫淼喆喜希曦晓"
    "肖萧校孝笑效晋进近靖敬镜净竞京晶经荆青清卿情庆轻平萍凡帆繁峰锋丰风枫福富付辉慧卉汇宏洪鸿虹弘吉纪季继佳嘉家甲"
)
"""Characters usual in names; homophones are drawn from them."""


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row and who it means (``None``: somebody on no roster). ``dirt`` names what was done to it."""

    name: str
    address: str
    phone: str
    id_text: str
    person: Person | None
    dirt: tuple[str, ...]


@dataclass(slots=True)
class BadRowMaker:
    """Writes bad rows about the people of a prefecture. Equal arguments give equal rows."""

    population: Population
    rng: Random
    name_dirt: float = 0.5
    """Share of rows whose name is not written as on the roster."""
    _homophones: dict[str, list[str]] = field(default_factory=dict)
    _alike: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._homophones = _groups(_sound)
        self._alike = _groups(lambda character: _sound(character).replace("zh", "z").replace("ch", "c")
                              .replace("sh", "s").replace("n", "l").removesuffix("g"))  # fmt: skip

    def make(self, count: int) -> list[BadRow]:
        """So many rows."""
        adults = [p for h in self.population.households for p in h.adults(self.population.as_of) if not h.cancelled]
        households = [h for h in self.population.households if h.members and not h.cancelled]
        return [
            self._stranger(self.rng.choice(households))
            if self.rng.random() < STRANGERS
            else self._about(self.rng.choice(adults))
            for _ in range(count)
        ]

    def _stranger(self, host: Household) -> BadRow:
        """Somebody from elsewhere who stays with a household, or says so; sometimes with its surname."""
        rng = self.rng
        people = draw_people(rng)
        surname = host.head.name[0] if rng.random() < 0.3 else draw_surname(rng, people)
        name = surname + draw_given_name(rng, people, male=rng.random() < 0.5)
        phone = rng.choice((draw_phone(rng), draw_phone(rng), "", host.phone))
        address, how = self._address(host)
        return BadRow(name, address, phone, "", None, ("stranger", how))

    def _about(self, person: Person) -> BadRow:
        name, named = self._name(person) if self.rng.random() < self.name_dirt else (person.name, "")
        address, placed = self._address(person.household)
        phone, called = self._phone(person)
        id_text, numbered = self._number(person) if self.rng.random() < NUMBERED else ("", "")
        dirt = tuple(kind for kind in (named, placed, called, numbered) if kind)
        return BadRow(name, address, phone, id_text, person, dirt)

    def _name(self, person: Person) -> tuple[str, str]:
        ways: tuple[tuple[str, float, Callable[[str], str]], ...] = (
            ("homophone", 0.36, self._misheard),
            ("dialect", 0.08, self._heard_in_dialect),
            ("variant", 0.12, self._variant),
            ("dot", 0.08, lambda name: f"{name[0]}·{name[1:]}"),
            ("space", 0.03, " ".join),
            ("order", 0.07, lambda name: name[1:] + name[0]),
            ("cut", 0.08, lambda name: name[1:] if len(name) > 2 else name + self.rng.choice("保英月")),
            ("longer", 0.05, lambda name: self.rng.choice("李罗岩玉小") + name),
            ("unreadable", 0.05, self._unreadable),
            ("pinyin", 0.02, self._typed),
            ("other", 0.06, self._mistaken),
        )
        kind, _, way = self.rng.choices(ways, [share for _, share, _ in ways])[0]
        return way(person.name), kind

    def _misheard(self, name: str) -> str:
        return self._one_replaced(name, self._homophones)

    def _heard_in_dialect(self, name: str) -> str:
        return self._one_replaced(name, self._alike)

    def _one_replaced(self, name: str, others: dict[str, list[str]]) -> str:
        places = [place for place, character in enumerate(name) if others.get(character)]
        if not places:
            return self._mistaken(name)
        place = self.rng.choice(places)
        return name[:place] + self.rng.choice(others[name[place]]) + name[place + 1 :]

    def _variant(self, name: str) -> str:
        other = misspell(name)
        return other if len(other) == len(name) else self._misheard(name)

    def _unreadable(self, name: str) -> str:
        place = self.rng.randrange(1, len(name))
        return name[:place] + self.rng.choice("□?*") + name[place + 1 :]

    def _typed(self, name: str) -> str:
        place = self.rng.randrange(1, len(name))
        return name[:place] + _sound(name[place]) + name[place + 1 :]

    def _mistaken(self, name: str) -> str:
        place = self.rng.randrange(len(name))
        return name[:place] + self.rng.choice(_COMMON) + name[place + 1 :]

    def _address(self, household: Household) -> tuple[str, str]:
        """Where the household lives, as people write it; one in eight lives elsewhere or says another village."""
        rng, village = self.rng, household.village
        chance = rng.random()
        group = f"{int(household.group)}组" if household.group and rng.random() < 0.5 else ""
        if chance < 0.66:
            county = rng.choice(("", "", "德宏州", "潞西市" if village.county == "533103" else "云南省"))
            return f"{county}{village.township}{rng.choice(('', ' '))}{village.name}{group}", ""
        if chance < 0.74:
            return f"{village.township[:-1]}{village.name[:-1]}{group}", "short"
        if chance < 0.80:
            return f"{village.name}{group}", "village alone"
        if chance < 0.86:
            return village.township, "township alone"
        if chance < 0.90:
            return rng.choice(("", "不详", "云南德宏", "本地")), "no address"
        if chance < 0.93:
            heard = "".join(rng.choice(self._homophones.get(c) or [c]) for c in village.name[:-1])
            return f"{village.township}{heard}村{group}", "village misheard"
        other = rng.choice(self.population.villages)
        return f"{other.township}{other.name}", "lives elsewhere"

    def _phone(self, person: Person) -> tuple[str, str]:
        household, chance = person.household, self.rng.random()
        if chance < 0.5:
            return household.phone, ""
        if chance < 0.6:
            return household.village.cadre_phone, "phone of the cadre"
        if chance < 0.66:
            return self.rng.choice(household.village.households).phone, "phone of a neighbour"
        if chance < 0.8:
            return draw_phone(self.rng), "own phone"
        return "", ""

    def _number(self, person: Person) -> tuple[str, str]:
        """The number, damaged so that no rule repairs it; one in twenty was replaced by the police meanwhile."""
        rng, number = self.rng, person.number
        if rng.random() < 0.05:
            number = number[:6] + f"{int(number[6:10]) - rng.randrange(1, 4)}" + number[10:]
        place = rng.randrange(6, 17)
        wrong = str((int(number[place]) + rng.randrange(1, 10)) % 10)
        match rng.randrange(6):
            case 0:
                return number[:17] + next(c for c in "1234567" if c != number[17]), "check digit"
            case 1:
                return number[:place] + wrong + number[place + 1 :], "digit"
            case 2:
                place = min(place, 15)
                return number[:place] + number[place + 1] + number[place] + number[place + 2 :], "swapped"
            case 3:
                return number[:15] + "000", "precision"
            case 4:
                return f"{number[0]}.{number[1:6]}E+17", "scientific"
        return number[:place] + number[place + 1 :], "short number"


def _sound(character: str) -> str:
    return str(pinyin(character, style=Style.NORMAL, errors="default")[0][0])


def _groups(heard: Callable[[str], str]) -> dict[str, list[str]]:
    """Character -> the others that are heard alike."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for character in dict.fromkeys(_COMMON):
        groups[heard(character)].append(character)
    return {c: [other for other in group if other != c] for group in groups.values() for c in group}
