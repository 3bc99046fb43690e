"""``python -m bench.linkage``: how good and how fast the scored candidates are.

Quality: prefectures of seeds that nothing was tuned on; precision and recall per band. Speed: the hub's whole scoring
against bare Splink with the same settings over the same ready tables.
"""

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from hub.core.names import LinkState
from hub.records.linkage import model
from hub.records.linkage.locating import Locator
from hub.records.linkage.scoring import Scored, score
from hub.records.linkage.tables import Person, Unnamed, people_table, rows_table
from hub.records.people.places import Gazetteer, VillageName
from hub.sandbox.feeds.roster import VillageRoster
from hub.sandbox.feeds.unnumbered import BadRow, BadRowMaker
from hub.sandbox.population import draw_population

AS_OF = date(2026, 11, 10)
TUNING_SEEDS = (101, 102, 103)
"""Seeds on which parameters and limits of bands were chosen."""
HELD_OUT_SEEDS = (201, 202, 203, 204)
"""Seeds that nothing was ever tuned on."""
LENT_PHONE_MAX = 5


@dataclass(frozen=True)
class Case:
    """A prefecture with its bad rows, ready to be scored; ``truth``: key of the person behind each row."""

    people: list[Person]
    rows: list[Unnamed]
    truth: dict[int, int | None]
    by_rule: dict[int, LinkState]
    bad: list[BadRow]


def make_case(seed: int, households: int, rows: int) -> Case:
    """A prefecture of one seed, and what the exact rule makes of its rows."""
    population = draw_population(str(seed), households, AS_OF)
    bad = BadRowMaker(population, Random(f"{seed}/bad rows")).make(rows)
    phones: dict[str, int] = {}
    for row in bad:
        phones.setdefault(row.phone, len(phones) + 1)
    at_phone = Counter(household.phone for household in population.households)
    people = [
        Person(p.serial, p.name, h.village.code, phones.get(h.phone, 0) if h.phone else None, p.number)
        for h in population.households
        for p in h.adults(AS_OF)
    ]
    names = [VillageName(v.code, v.township, v.name) for v in population.villages]
    locator, gazetteer = Locator(names), Gazetteer(names)
    roster = VillageRoster(population.households, set(), AS_OF)
    unnamed = [
        Unnamed(
            key, row.name, locator.locate(row.address), phones[row.phone] if row.phone else None,
            at_phone[row.phone] > LENT_PHONE_MAX, row.id_text or None,
        )
        for key, row in enumerate(bad)
    ]  # fmt: skip
    by_rule = {}
    for key, row in enumerate(bad):
        village = gazetteer.resolve(row.address)
        by_rule[key] = (
            roster.link(village, row.name, row.phone)[0] if village and not row.id_text else LinkState.UNLINKED
        )
    truth = {key: row.person.serial if row.person else None for key, row in enumerate(bad)}
    return Case(people, unnamed, truth, by_rule, bad)


@dataclass
class Quality:
    """Counts over cases: proposals and right ones per band, rows whose person is on the roster."""

    proposed: Counter[str]
    right: Counter[str]
    found_rows: int
    rows: int

    def table(self) -> list[dict[str, Any]]:
        """Per band: proposals, precision, share of the people on the roster that it finds, and so far altogether."""
        lines, so_far = [], 0
        for band in model.BANDS:
            so_far += self.right[band]
            lines.append(
                {
                    "band": band, "proposals": self.proposed[band],
                    "precision": round(self.right[band] / max(self.proposed[band], 1), 4),
                    "recall": round(self.right[band] / max(self.found_rows, 1), 4),
                    "recall so far": round(so_far / max(self.found_rows, 1), 4),
                }
            )  # fmt: skip
        return lines


def judge(cases: Iterable[tuple[Case, Sequence[Scored]]], states: set[LinkState]) -> Quality:
    """Compare proposals with the truth, for rows that the exact rule left in one of ``states``."""
    quality = Quality(Counter(), Counter(), 0, 0)
    for case, scored in cases:
        wanted = {key for key, state in case.by_rule.items() if state in states}
        quality.rows += len(wanted)
        quality.found_rows += sum(case.truth[key] is not None for key in wanted)
        for proposal in scored:
            if proposal.row in wanted:
                quality.proposed[proposal.band] += 1
                quality.right[proposal.band] += case.truth[proposal.row] == proposal.person
    return quality


def score_case(case: Case) -> list[Scored]:
    """Score all rows of a case."""
    return score(people_table(case.people), rows_table(case.rows))


LEFT = {LinkState.UNLINKED, LinkState.REVIEW}


def measure_quality(seeds: Sequence[int], households: int, rows: int) -> dict[str, Any]:
    """Bands over prefectures of these seeds."""
    cases = []
    for seed in seeds:
        case = make_case(seed, households, rows)
        cases.append((case, score_case(case)))
    left, linked = judge(cases, LEFT), judge(cases, {LinkState.PROBABLE})
    return {
        "seeds": list(seeds), "households": households, "rows": rows * len(seeds), "model": model.model_name(),
        "left by the exact rule": {"rows": left.rows, "on the roster": left.found_rows, "bands": left.table()},
        "linked by the exact rule": {"rows": linked.rows, "on the roster": linked.found_rows, "bands": linked.table()},
    }  # fmt: skip


def main() -> None:
    """Measure what is asked for and print it as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--households", type=int, default=10_000)
    options.add_argument("--rows", type=int, default=10_000)
    options.add_argument("--seeds", type=int, nargs="*", default=list(HELD_OUT_SEEDS))
    given = options.parse_args()
    began = time.process_time()
    result = measure_quality(given.seeds, given.households, given.rows)
    result["cpu seconds"] = round(time.process_time() - began, 1)
    result["peak memory MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
