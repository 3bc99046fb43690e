"""Line 3: the matrix is complete, is what Cedar says, and is what real callers of the API get, cell by cell.

Expected is what docs/ACCESS-MATRIX.csv says, read by tests/done/golden_matrix.py; nothing is expected from the code.
"""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.access.compile import CIRCUMSTANCES as CASES
from hub.access.compile import Need, question
from hub.access.parts import PARTS, part_of
from hub.access.rules import RuleSet
from hub.core.disclosure import Asker, DisclosureRequest, SubjectByNumber
from hub.core.names import Category, Purpose, Role
from hub.store.database import Database
from tests.done.golden_matrix import CIRCUMSTANCES, Key, golden, open_cells
from tests.done.queries import OWN_RECORD
from tests.done.served import (
    ALL_PARTS,
    BANK_A,
    CHILD,
    COUNTY,
    COUSIN,
    FAR,
    HEAD,
    NEIGHBOUR,
    SON,
    WIFE,
    Person,
    Served,
    served_hub,
)

ASKERS = {
    "RESIDENT": "head", "COLLECTOR": "collector", "VILLAGE_REVIEWER": "village_reviewer", "TOWNSHIP": "township",
    "STEWARD": "steward", "REGULATOR": "regulator", "LOAN_OFFICER": "officer-a", "BANK_RISK": "risk-a",
}  # fmt: skip
"""Role -> who asks; every role that some rule opens a cell to is among them."""

LENDERS = ("LOAN_OFFICER", "BANK_RISK")
OWNS_CONTRACTS = (*LENDERS, "RESIDENT", "STEWARD")
ALL = frozenset(CIRCUMSTANCES) - {"second-factor"}
"""Circumstances of a good request; people who sign in with a second factor are in the tests of signing in."""

ANSWER = "eligibility/YES_NO"
"""What a provider is told; no section holds it (tests/benefits, tests/attacks/test_eligibility_layer.py)."""

EVERY_PART = [*ALL_PARTS, ANSWER]

IN_PROFILE = [part for part in ALL_PARTS if part not in {"clinic.arrears/VALUE", "civil.relief/VALUE"}]
"""What a profile can be asked for; the two others no field of it shows."""

NO_MARK = {"tax.arrears/YES_NO", "civil.relief/YES_NO", "bank.line/TOTAL", "bank.loan/TOTAL"}
"""Parts whose answer is a sum, yes or no: only the notice tells whether they were given."""


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        await hub.owner.execute("UPDATE access.client SET purposes = $1", [purpose.value for purpose in Purpose])
        await hub.owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes, village_codes)"
            " VALUES ('village_reviewer', 'VILLAGE_REVIEWER', $1, $2)",
            [COUNTY], ["533103001001"],
        )  # fmt: skip
        yield hub


def test_the_file_has_every_cell() -> None:
    assert set(golden()) == {(role, purpose, part) for role in Role for purpose in Purpose for part in EVERY_PART}
    # A guardian is a resident who names a ward; tests/api/test_guardians.py drives every cell of that role.
    asking = {*ASKERS, "GUARDIAN", "PROVIDER"}
    assert {key[0] for key, line in golden().items() if line.decision == "OPEN"} <= asking
    assert open_cells("PROVIDER") == {("PROVIDER", "BENEFIT_ELIGIBILITY", ANSWER)}


def _differences(keys: list[Key]) -> list[Key]:
    asked = [(key, case) for key in keys for case in CASES]
    questions = [question(Role(key[0]), Purpose(key[1]), part_of(key[2]), case) for key, case in asked]
    words = dict(zip(Need, CIRCUMSTANCES, strict=True))
    differing = []
    for (key, case), answer in zip(asked, RuleSet.load().ask(questions), strict=True):
        line = golden()[key]
        held = {words[need] for need in case}
        allowed = line.decision == "OPEN" and set(line.needs) <= held
        missing = {rule for word, rules in line.needs.items() if word not in held for rule in rules}
        rules = line.permits if allowed else tuple(sorted(missing)) if line.decision == "OPEN" else answer.rule_ids
        if (allowed, rules) != (answer.allowed, answer.rule_ids):
            differing.append(key)
    return differing


def test_every_open_cell_is_what_cedar_says_and_by_the_same_rules() -> None:
    keys = [key for key, line in golden().items() if line.decision == "OPEN"]
    assert len(keys) > 150
    assert _differences(keys) == []


@pytest.mark.long
def test_every_cell_in_every_case_is_what_cedar_says() -> None:
    assert _differences(list(golden())) == []


def test_categories_that_no_agency_may_deliver_are_open_to_nobody() -> None:
    """There is no part of them at all: nothing to grant, nothing to ask for."""
    told = {part.category for part in PARTS}
    assert not {category for category in told if "diagnos" in category or "relig" in category or "finger" in category}
    assert told <= set(Category)
    lawless = [line for line in golden().values() if line.decision == "OPEN" and not line.permits]
    assert lawless == []


def test_adding_a_circumstance_never_removes_and_removing_one_never_adds() -> None:
    for key, line in golden().items():
        if line.decision == "OPEN":
            assert set(line.needs) <= set(CIRCUMSTANCES), key
            assert line.outcome(frozenset(CIRCUMSTANCES)) == "GIVEN"
        for word in CIRCUMSTANCES:
            rest = frozenset(CIRCUMSTANCES) - {word}
            assert (line.outcome(rest) == "GIVEN") <= (line.outcome(frozenset(CIRCUMSTANCES)) == "GIVEN")


async def give_basis(
    served: Served, person: Person, organisation: str, purpose: str, parts: list[str], *, heightened: bool = True
) -> UUID:
    basis = uuid4()
    await served.owner.execute(
        "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,"
        " heightened, effective_from, expires_at) VALUES ($1, 'CASE', 'test', $2, $3, $4, $5, $6, $7,"
        " now() - interval '1 minute', now() + interval '1 day')",
        basis, COUNTY, organisation, person.person_id, purpose, parts, heightened,
    )  # fmt: skip
    return basis


async def ask(served: Served, role: str, purpose: str, person: Person) -> tuple[dict[str, str], set[str]]:
    """Part -> outcome as the API tells it, and the parts whose marks stand anywhere in the reply."""
    who = ASKERS[role]
    changes: dict[str, Any] = {"purpose": purpose} | ({} if role in LENDERS else {"officer": None})
    reply = await served.profile(who, person, **changes)
    profile = reply.json()["data"]["borrowerProfile"]
    assert profile["__typename"] == "BorrowerProfile", reply.text
    told = dict.fromkeys(IN_PROFILE, "GIVEN")
    told |= {f"{entry['category']}/{entry['form']}": entry["reason"] for entry in profile["withheld"]}
    return {part: told[part] for part in IN_PROFILE}, {part for _, part, _ in served.marks.found(reply.content)}


def expected(role: str, purpose: str, circumstances: frozenset[str], covered: list[str] | None) -> dict[str, str]:
    """What the matrix says; ``covered``: parts of the basis, ``None`` without one."""
    lines = {part: golden()[role, purpose, part] for part in IN_PROFILE}
    bare = any(line.decision == "OPEN" and "basis" not in line.needs for line in lines.values())
    if covered is None and not bare:
        return dict.fromkeys(IN_PROFILE, "NO_BASIS")  # the same answer as about nobody
    told = {}
    for part, line in lines.items():
        held = circumstances | ({"basis"} if covered is not None and part in covered else frozenset[str]())
        reason = line.outcome(held - ({"basis"} if covered is None or part not in covered else set()))
        lacks = line.decision == "OPEN" and "basis" in line.needs and covered is None
        told[part] = "NO_BASIS" if lacks and reason == "CATEGORY_NOT_IN_BASIS" else reason
    return told


async def check(
    served: Served, role: str, purpose: str, person: Person, circumstances: frozenset[str], covered: list[str] | None
) -> set[Key]:
    """One request against the matrix; the cells that were given."""
    told, seen = await ask(served, role, purpose, person)
    wanted = expected(role, purpose, circumstances, covered)
    assert told == wanted, (role, purpose, person.account)
    given = {part for part, reason in told.items() if reason == "GIVEN"}
    assert seen <= given, (role, purpose, "a value of a part that was withheld")
    # Contracts are told to the lender whose they are, to the resident and to a steward; others have none of their own.
    without = NO_MARK if role in OWNS_CONTRACTS else NO_MARK | {"bank.line/VALUE", "bank.loan/VALUE"}
    assert given - without <= seen, (role, purpose, "a part that was given has no value")
    return {(role, purpose, part) for part in given}


@pytest.mark.long
async def test_every_open_cell_is_given_by_the_api_and_every_closed_one_withheld(served: Served) -> None:
    """All roles that read and all purposes, by number and name over HTTP, with everything that could be needed."""
    driven: set[Key] = set()
    for role in ASKERS:
        organisation = BANK_A if role in LENDERS else "hub"
        for purpose in Purpose:
            if role != "RESIDENT":
                await give_basis(served, HEAD, organisation, purpose, ALL_PARTS)
            # A resident needs no basis and has none; to watch a loan one must have lent something.
            has_none = role == "RESIDENT" or (purpose is Purpose.POST_LOAN_REVIEW and role not in LENDERS)
            covered = None if has_none else ALL_PARTS
            driven |= await check(served, role, purpose, HEAD, ALL, covered)
            await served.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN'")
    wanted = {
        key
        for role in ASKERS
        for key in open_cells(role)
        if key[2] in IN_PROFILE and "second-factor" not in golden()[key].needs
    }
    assert driven == wanted


async def test_the_own_record_shows_the_parts_that_no_profile_has(served: Served) -> None:
    reply = await served.ask("head", OWN_RECORD)
    rest = set(ALL_PARTS) - set(IN_PROFILE)
    assert rest <= {part for _, part, _ in served.marks.found(reply.content)}
    assert {("RESIDENT", "SELF_ACCESS", part) for part in rest} <= open_cells("RESIDENT")
    for role, who in ASKERS.items():
        if role == "RESIDENT":
            continue
        disclosure, _ = await served.hub.ports.disclosing.disclose(
            DisclosureRequest(
                asker=Asker(who, "t", "x"),
                purpose=Purpose.LOAN_APPLICATION,
                subject=SubjectByNumber(HEAD.number, HEAD.name),
                parts=tuple(part_of(part) for part in sorted(rest)),
                operation="query",
                variables={},
            )
        )
        assert not disclosure.sections
        assert not open_cells(role) & {(role, "LOAN_APPLICATION", part) for part in rest}


@pytest.mark.long
async def test_each_missing_circumstance_closes_what_the_matrix_says_and_nothing_else(served: Served) -> None:
    for role in ASKERS:
        organisation = BANK_A if role in LENDERS else "hub"
        for purpose in sorted({key[1] for key in open_cells(role)}):
            if role == "RESIDENT":
                assert set((await ask(served, role, purpose, WIFE))[0].values()) == {"NO_BASIS"}, "another's record"
                continue
            await check(served, role, purpose, WIFE, ALL, None)
            some = IN_PROFILE[::3]
            await give_basis(served, NEIGHBOUR, organisation, purpose, some)
            await check(served, role, purpose, NEIGHBOUR, ALL, some)
            await give_basis(served, COUSIN, organisation, purpose, ALL_PARTS, heightened=False)
            await check(served, role, purpose, COUSIN, ALL - {"heightened-notice"}, ALL_PARTS)
            await give_basis(served, CHILD, organisation, purpose, ALL_PARTS)
            told, seen = await ask(served, role, purpose, CHILD)
            assert told == expected(role, purpose, ALL - {"adult"}, ALL_PARTS)
            assert not seen
            await give_basis(served, FAR, organisation, purpose, ALL_PARTS)
            told, seen = await ask(served, role, purpose, FAR)
            assert set(told.values()) == {"NO_BASIS"}, "elsewhere nobody exists"
            assert not seen
            await served.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN'")


async def test_a_consent_that_grows_never_takes_a_field_away_and_one_that_shrinks_never_gives_one(
    served: Served,
) -> None:
    order = random.sample(ALL_PARTS, len(ALL_PARTS))
    basis = await give_basis(served, SON, BANK_A, "LOAN_APPLICATION", order[:1])

    async def given(size: int) -> set[str]:
        await served.owner.execute("UPDATE consent.basis SET parts = $2 WHERE basis_id = $1", basis, order[:size])
        told, seen = await ask(served, "BANK_RISK", "LOAN_APPLICATION", SON)
        shown = {part for part, reason in told.items() if reason == "GIVEN"}
        assert seen <= shown <= set(order[:size])
        return shown

    before = await given(1)
    for size in range(2, len(order) + 1):
        after = await given(size)
        assert before <= after, order
        before = after
    assert len(before) > 10
    for size in range(len(order) - 1, 0, -1):
        after = await given(size)
        assert after <= before, order
        before = after
