"""Sources that disagree: shown so over the API, with the reason for the choice; made only of what was granted.

Five agencies deliver over their own protocols. The table below is the golden test of the rules of precedence: each rule
and each criterion decides somewhere in it, and changing a rule changes a line.
"""

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hub.core.clock import day_of, system_clock
from hub.core.names import Attribute, ChoiceReason
from hub.records.folding.precedence import precedence
from hub.store.database import Database
from tests.connectors.civil_agency import element
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import ADULT, Agencies, citizen
from tests.done.cases_bank_clinic import BUSINESS_DATE, GOOD, bank_key, consent, line, loan
from tests.done.cases_tax_social import social_row, tax_key, tax_record
from tests.done.queries import OWN_RECORD
from tests.done.samples import HubUnderTest
from tests.done.served import Person, Served, served_hub

SPOUSE = citizen("19880808", 20)
TRADE = tax_record("DJ", 1, jyzxm="刀岩宝")
BANDS = [tax_record("QJ", 2), tax_record("QJ", 3, ywbh="20250101", ssqq="2025-01-01", ssqz="2025-12-31", srqj_dm="4")]
OWED = tax_record("QS", 4)
LINE, LOAN = line(1, name="刀岩包"), loan(1, overdue_days=3, notice_date=BUSINESS_DATE)
EMPLOYED_ON, STALE_ON = date(2026, 10, 19), date(2025, 1, 1)
SETTLED = {"应付金额": "100.00", "已付金额": "100.00", "欠费余额": "0.00", "结清日期": "2026-09-20"}
PLANNED = {"欠费单号": "Q2", "欠费人姓名": "思月", "证件号码": SPOUSE, "延期协议到期日": "2099-12-31"}
EMPLOYEE = {"aac003": "刀保", "aae140": "310"}
RESIDENT = {"aac003": "刀保", "aae140": "390"}
OLD = {"aac002": SPOUSE, "aac003": "思月", "aae140": "310", "aae036": f"{STALE_ON} 02:00:00"}


async def deliver(agencies: Agencies) -> None:
    """刀岩保 in H1, whom everybody names otherwise; 思月 in H1 and, since later, in H2, which receives relief."""
    agencies.put_roster({"cybh": "C1"}, {"cybh": "C2", "xm": "思月", "sfzjhm": SPOUSE, "yhzgx": "10"})
    again = {"cybh": "C9", "hubh": "H2", "xm": "思月", "sfzjhm": SPOUSE, "yhzgx": "30", "rhrq": "2020-01-01"}
    agencies.put_roster(again, household={"hubh": "H2"})
    agencies.civil.rows["relief"].append(element("relief", hubh="H2"))
    agencies.tax_records += [TRADE, *BANDS, OWED]
    for number, changes in ((1, EMPLOYEE), (1, RESIDENT), (2, OLD)):
        await agencies.social.insert(**social_row(number, **changes))
    agencies.put_clinic_list("20261018", [clinic_line(欠费人姓名="岩保", **SETTLED), clinic_line(**PLANNED)])
    agencies.put_bank_file(1, BUSINESS_DATE, [consent(GOOD), LINE, LOAN])


async def person_of(served: Served, account: str, number: str, name: str) -> Person:
    """Somebody who was pulled, with an account of his own."""
    found: UUID = await served.owner.fetchval(
        "SELECT person_id FROM record.directory WHERE blind_index = $1", served.keys.index("identity", number)
    )
    await served.owner.execute(
        "INSERT INTO auth.account (account_id, role, person_id, county_codes) VALUES ($1, 'RESIDENT', $2, '{}')",
        account,
        found,
    )
    return Person(account, number, name, person_id=found)


@pytest.fixture
async def served(database: Database, agencies: Agencies, tmp_path: Path) -> AsyncIterator[Served]:
    await deliver(agencies)
    async with served_hub(database, tmp_path / "home") as hub:
        await HubUnderTest(database, hub.keys, tmp_path / "home").pull(*agencies.sources())
        yield hub


Told = tuple[str, str, str, bool]
Line = tuple[str, str, str, str, list[Told]]


def brief(value: dict[str, Any] | None) -> Line | None:
    """Value, source, reason and confidence, and the same of what lost, with whether it contradicts."""
    if value is None:
        return None
    others = [(o["value"], o["provenance"]["source"], o["reason"], o["contradicts"]) for o in value["others"]]
    return value["value"], value["provenance"]["source"], value["precedence"]["reason"], value["confidence"], others


def resolved(reply: Any, name: str = "borrowerProfile") -> dict[str, Line | None]:
    body = reply.json()
    assert "errors" not in body, body
    section = body["data"][name]["resolved"]
    return {attribute: brief(section[attribute]) for attribute in section if attribute != "completeness"}


def lowered(confidence: str, lower: str, since: date, limit: int) -> str:
    """Confidence on the day of the test: a statement that is dated here goes out of date some day."""
    return lower if day_of(system_clock()) > since + timedelta(days=limit) else confidence


HEAD_NAMES: list[Told] = [
    ("刀岩宝", "tax", "LEGAL", True), ("刀保", "social", "LEGAL", True), ("刀岩包", "bank", "LEGAL", True),
    ("岩保", "clinic", "LEGAL", True),
]  # fmt: skip


def head_golden() -> dict[str, Line | None]:
    return {
        "membership": ("THIS_HOUSEHOLD", "civil", "ONLY_STATEMENT", "HIGH", []),
        "name": ("刀岩保", "civil", "LEGAL", "HIGH", HEAD_NAMES),
        "employment": (
            "EMPLOYEE", "social", "LEGAL", lowered("MEDIUM", "LOW", EMPLOYED_ON, 400),
            [("NOT_EMPLOYEE", "social", "LEGAL", True), ("SELF_EMPLOYED", "tax", "LEGAL", False)],
        ),
        "income": ("2", "tax", "ONLY_STATEMENT", "LOW", []),
        "arrears": (
            "OPEN", "bank", "LEGAL", lowered("HIGH", "MEDIUM", EMPLOYED_ON, 1095),
            [("SETTLED", "clinic", "LEGAL", False)],
        ),
    }  # fmt: skip


def spouse_golden() -> dict[str, Line | None]:
    return {
        "membership": (
            "THIS_HOUSEHOLD", "civil", "RECENCY", "MEDIUM", [("OTHER_HOUSEHOLD", "civil", "RECENCY", True)],
        ),
        "name": ("思月", "civil", "ALL_AGREE", "HIGH", []),
        "employment": ("EMPLOYEE", "social", "ONLY_STATEMENT", "MEDIUM", []),
        "income": None,
        "arrears": ("PLANNED", "clinic", "ONLY_STATEMENT", "MEDIUM", []),
    }  # fmt: skip


GRANTED: dict[tuple[str, ...], Line | None] = {
    ("tax.registration/VALUE",): ("刀岩宝", "tax", "ONLY_STATEMENT", "LOW", []),
    ("social.insurance/VALUE", "tax.registration/VALUE"): (
        "刀保", "social", "VERIFICATION", "LOW", [("刀岩宝", "tax", "VERIFICATION", True)],
    ),
    ("bank.loan/VALUE", "social.insurance/VALUE"): (
        "刀保", "social", "RECENCY", "LOW", [("刀岩保", "bank", "RECENCY", True)],
    ),
    ("bank.line/VALUE", "bank.loan/VALUE"): (
        "刀岩包", "bank", "FIRST_LISTED", "LOW", [("刀岩保", "bank", "FIRST_LISTED", True)],
    ),
    ("bank.loan/VALUE", "identity/VALUE"): ("刀岩保", "civil", "ALL_AGREE", "HIGH", []),
    ("bank.loan/TOTAL", "civil.relief/YES_NO", "tax.grade/VALUE"): None,
}  # fmt: skip
"""Parts granted -> the name made of them."""


def parts_input(keys: tuple[str, ...]) -> list[dict[str, str]]:
    return [dict(zip(("category", "form"), key.split("/"), strict=True)) for key in keys]


async def test_each_rule_names_its_value_with_the_reason_for_every_role_that_may_see_it(served: Served) -> None:
    head = await person_of(served, "dao", ADULT, "刀岩保")
    spouse = await person_of(served, "si", SPOUSE, "思月")
    for person in (head, spouse):
        await served.grant(person)
    reply = await served.profile("risk-a", head)
    assert resolved(reply) == head_golden()
    assert resolved(await served.profile("risk-a", spouse)) == spouse_golden()
    officer = resolved(await served.profile("officer-a", head))
    assert officer["income"] is None, "bands of income are for the risk desk alone"
    assert officer["name"] == ("刀岩保", "civil", "LEGAL", "HIGH", HEAD_NAMES[:3]), "and so is what a clinic says"
    assert resolved(await served.ask("dao", OWN_RECORD), "household") == head_golden()
    own = resolved(await served.ask("si", OWN_RECORD), "household")
    assert own == spouse_golden() | {"income": ("BELOW_RELIEF_LINE", "civil", "ONLY_STATEMENT", "MEDIUM", [])}
    name = reply.json()["data"]["borrowerProfile"]["resolved"]["name"]["others"][0]
    assert name["provenance"]["sourceVersion"] == "1"
    assert name["provenance"]["sourceTime"] == TRADE["gxsj"]
    assert name["ageDays"] == (day_of(system_clock()) - date(2026, 10, 18)).days
    shown = [head_golden(), spouse_golden(), own]
    assert {name for each in shown for name, value in each.items() if value} == set(Attribute) - {Attribute.LIFE}
    section = reply.json()["data"]["borrowerProfile"]["resolved"]
    named = {section[attribute]["precedence"]["id"]: section[attribute]["precedence"]["version"] for attribute in own}
    assert named == {str(a): precedence().newest[a].version for a in Attribute if a is not Attribute.LIFE}


async def test_a_value_is_made_of_what_was_granted_and_tells_of_nothing_else(served: Served) -> None:
    """The reasons and the notices of one who has many statements are those of one who has none."""
    head = await person_of(served, "dao", ADULT, "刀岩保")
    spouse = await person_of(served, "si", SPOUSE, "思月")
    reasons = set()
    for parts, expected in GRANTED.items():
        for person in (head, spouse):
            await served.grant(person, parts=parts_input(parts))
        reply = await served.profile("risk-a", head)
        assert resolved(reply)["name"] == expected, parts
        reasons |= {expected[2]} if expected else set()
        told = set() if expected is None else {expected[0], *(other[0] for other in expected[4])}
        for name in ("刀岩宝", "刀保", "岩保", "刀岩包"):
            assert (f'"{name}"' in reply.text) == (name in told), (parts, name)
        others = await served.profile("risk-a", spouse)
        notices = [each.json()["data"]["borrowerProfile"]["withheld"] for each in (reply, others)]
        assert notices[0] == notices[1]
        lacking = {n["category"] for n in notices[0] if n["field"] == "resolved.name"}
        granted = {part.split("/")[0] for part in parts if not part.endswith("/TOTAL")}
        assert not lacking & granted
        assert all(notice["reason"] == "CATEGORY_NOT_IN_BASIS" for notice in notices[0])
    full = {value[2] for value in head_golden().values() if value} | {"RECENCY"}
    assert reasons | full == set(ChoiceReason), "every reason there is decides somewhere"


CHALLENGES = """
query($first: Int!, $after: String, $filter: ChallengeFilter) {
  challenges(first: $first, after: $after, filter: $filter) {
    __typename ... on UserError { code }
    ... on ChallengeConnection {
      edges { node { source sourceKey attribute cause ruleVersion dueOn outcome } } pageInfo { hasNextPage endCursor }
    } } }
"""


async def test_sources_that_lost_or_went_stale_are_challenged_and_only_a_steward_of_the_county_sees_it(
    served: Served,
) -> None:
    asked: list[tuple[str, str, str, str]] = []
    page: dict[str, Any] = {"first": 3}
    while True:
        answer = (await served.ask("steward", CHALLENGES, page)).json()
        assert answer["extensions"]["receipt"]["index"] >= 0
        found = answer["data"]["challenges"]
        nodes = [edge["node"] for edge in found["edges"]]
        asked += [(n["source"], n["sourceKey"], n["attribute"], n["cause"]) for n in nodes]
        assert all(n["dueOn"] == "2026-11-09" and n["ruleVersion"] == 1 and n["outcome"] is None for n in nodes)
        if not found["pageInfo"]["hasNextPage"]:
            break
        page = {"first": 3, "after": found["pageInfo"]["endCursor"]}
    assert sorted(asked) == sorted(
        [
            ("tax", tax_key(TRADE), "NAME", "LOST"),
            ("social", "53310000000001|310", "NAME", "LOST"),
            ("social", "53310000000001|390", "NAME", "LOST"),
            ("social", "53310000000001|390", "EMPLOYMENT", "LOST"),
            ("social", "53310000000002|310", "EMPLOYMENT", "STALE"),
            ("clinic", "533103Y00117|Q1", "NAME", "LOST"),
            ("bank", bank_key(LINE), "NAME", "LOST"),
            ("civil", "member|C2", "MEMBERSHIP", "LOST"),
        ]
    )
    only = (await served.ask("steward", CHALLENGES, {"first": 9, "filter": {"source": "tax"}})).json()
    assert len(only["data"]["challenges"]["edges"]) == 1
    no_text = (await served.ask("steward", CHALLENGES, {"first": 9, "filter": {"source": "a\0b"}})).json()
    assert no_text["data"]["challenges"]["__typename"] == "InvalidInput"
    for account in ("regulator", "collector", "township", "head", "risk-a"):
        refused = (await served.ask(account, CHALLENGES, {"first": 9})).json()["data"]["challenges"]
        assert refused == {"__typename": "NotAllowed", "code": "NOT_ALLOWED"}, account
    await served.owner.execute("UPDATE auth.account SET county_codes = '{533122}' WHERE account_id = 'steward'")
    elsewhere = (await served.ask("steward", CHALLENGES, {"first": 9})).json()["data"]["challenges"]
    assert elsewhere["edges"] == []
