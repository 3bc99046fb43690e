"""The language of programmes: what it refuses, its three truth values, and that the database says the same."""

import json
import random
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.benefits.condition import READABLE, Kind, check_condition, holds, leaves_of
from hub.benefits.programme import programme_of
from hub.core.errors import InputError
from hub.core.fields import FIELDS
from hub.store.database import Database, DbRole

from .world import NO_ADVERSE, SMALL, leaf

GRADE = leaf("good-grade", "tax.grade/VALUE", "grade", "ONE_OF", ["A", "B"], over="SOME")


@pytest.mark.parametrize(
    "condition",
    [
        {},
        {"all": []},
        {"all": [SMALL], "any": [NO_ADVERSE]},
        {"all": [SMALL, SMALL]},
        {"not": {"not": {"not": {"not": SMALL}}}},
        {"all": [leaf(f"c{n}-x", "roster/VALUE", "size", "AT_MOST", n) for n in range(13)]},
        SMALL | {"threshold": 3},
        SMALL | {"field": "villageName"},
        SMALL | {"part": "clinic.arrears/VALUE", "field": "arrearsBalance"},
        SMALL | {"test": "EQUALS"},
        SMALL | {"value": True},
        SMALL | {"value": "6"},
        SMALL | {"over": "SOME"},
        SMALL | {"missing": "MAYBE"},
        SMALL | {"zh": ""},
        SMALL | {"code": "Ünsafe"},
        GRADE | {"over": None},
        GRADE | {"value": ["A' OR true"]},
        NO_ADVERSE | {"over": "SOME"},
    ],
)
def test_what_is_not_in_the_language_is_refused(condition: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        check_condition(condition)
    assert refused.value.code == "PROGRAMME_CONDITION"


def test_what_may_be_read_are_fields_of_records_and_no_amounts_names_or_anything_of_a_clinic() -> None:
    known = {(f"{one.part.category}/{one.part.form}", name.split(".")[1]) for name, one in FIELDS.items()}
    known |= {("tax.arrears/YES_NO", "value"), ("civil.relief/YES_NO", "value"), ("adverse/VALUE", "")}
    assert set(READABLE) <= known
    assert not {part for part, _ in READABLE if part.startswith(("clinic", "bank.line", "conflict"))}
    refused = {"name", "amount", "balance", "totalBalance", "reliefType", "taxpayerName", "villageName", "contractNo"}
    assert not refused & {field for _, field in READABLE}


def test_the_programme_in_the_documents_is_one() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", Path("docs/BENEFITS.md").read_text(encoding="utf-8"), re.DOTALL)
    found = programme_of(tomllib.loads(text))
    assert found.reads == ("adverse/VALUE", "tax.arrears/YES_NO")
    with pytest.raises(InputError):
        programme_of(tomllib.loads(text.replace("2027-10-01", "2026-10-01")))


TRUTH = st.sampled_from([True, False, None])


def known(value: bool | None, code: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A comparison with this truth value, and the body that gives it."""
    part = f"{code}/VALUE"
    body = {} if value is None else {"x": value}
    return {"code": code, "part": part, "field": "x", "over": None, "test": "EQUALS", "value": True,
            "missing": "UNKNOWN"}, {part: body}  # fmt: skip


@given(TRUTH, TRUTH)
def test_three_truth_values(one: bool | None, two: bool | None) -> None:
    (a, body), (b, other) = known(one, "a"), known(two, "b")
    bodies = body | other
    assert holds({"not": a}, bodies) is (None if one is None else not one)
    both, some = holds({"all": [a, b]}, bodies), holds({"any": [a, b]}, bodies)
    assert both is (False if False in (one, two) else None if None in (one, two) else True)
    assert holds({"not": {"any": [{"not": a}, {"not": b}]}}, bodies) is both
    assert some is holds({"not": {"all": [{"not": a}, {"not": b}]}}, bodies)


def _random_leaf(chance: random.Random, number: int) -> dict[str, Any]:
    (part, field), readable = chance.choice(list(READABLE.items()))
    constants = {Kind.YES_NO: [True, False], Kind.CODE: ["A", "B", "1"], Kind.NUMBER: [0, 1, 3, 12]}[readable.kind]
    if readable.kind is Kind.NUMBER:
        test: str = chance.choice(["AT_MOST", "AT_LEAST"])
        value: Any = chance.choice(constants)
    else:
        test = chance.choice(["EQUALS", "ONE_OF"])
        value = chance.choice(constants) if test == "EQUALS" else chance.sample(constants, 2)
    over = None if not readable.listed else chance.choice(["SOME", "EVERY"]) if field else "NUMBER"
    made = leaf(f"c{number}", part, field, test, value, missing=chance.choice(["UNKNOWN", "MET", "NOT_MET"]))
    return made if over is None else made | {"over": over}


def _random_condition(chance: random.Random) -> dict[str, Any]:
    leaves = [_random_leaf(chance, number) for number in range(10, 10 + chance.randint(1, 5))]
    below = [{"not": one} if chance.random() < 0.3 else one for one in leaves]
    half = chance.randint(0, len(below) - 1)
    if half == 0:
        return {chance.choice(["all", "any"]): below}
    return {"all": [{"any": below[:half]}, {"all": below[half:]}]}


def _random_bodies(chance: random.Random) -> dict[str, Any]:
    bodies: dict[str, Any] = {}
    for (part, field), readable in READABLE.items():
        if chance.random() < 0.25:
            continue
        value = lambda: chance.choice([None, True, False, "A", "B", "1", "3.50", 0, 1, 4, 13, "12x", "-1"])  # noqa: E731
        if readable.listed:
            items = bodies.setdefault(part, {"items": [{} for _ in range(chance.randint(0, 3))]})["items"]
            for item in items:
                item |= {field: value()} if field and chance.random() < 0.8 else {}
        else:
            bodies.setdefault(part, {})[field] = value()
    return bodies


async def test_the_database_says_the_same_of_hundreds_of_records(module_database: Database) -> None:
    chance = random.Random(54)
    cases = [(check_condition(_random_condition(chance)), _random_bodies(chance)) for _ in range(300)]
    owner = await module_database.connect(DbRole.OWNER)
    try:
        rows = await owner.fetch(
            "SELECT benefit.holds(c::jsonb, b::jsonb) AS found, benefit.outcomes_of(c::jsonb, b::jsonb) AS each"
            " FROM unnest($1::text[], $2::text[]) AS t (c, b)",
            [json.dumps(condition) for condition, _ in cases], [json.dumps(bodies) for _, bodies in cases],
        )  # fmt: skip
    finally:
        await owner.close()
    assert {row["found"] for row in rows} == {True, False, None}
    for (condition, bodies), row in zip(cases, rows, strict=True):
        assert row["found"] is holds(condition, bodies), (condition, bodies)
        assert json.loads(row["each"]) == {one["code"]: holds(one, bodies) for one in leaves_of(condition)}
