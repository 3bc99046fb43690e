"""Records of provision say what was given to whom on which basis; what is kept for a time goes when that is over."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from hub.access.legal_mode import LegalMode, kept_in
from hub.flows.duties.destroy_kept import destroy_kept, due_now
from hub.flows.readings.export_provisions import SPACE, export_provisions
from hub.store.database import DbRole

from .test_consent_story import done
from .world import BANK_A, BANK_B, COUNTY, HEAD, WIFE, Api, borrower

PROFILE = """query P($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { ... on BorrowerProfile {
  identity { name } tax { grades { grade } arrears { arrearsNo } } otherAdults { name } } } }"""

PROVISIONS = """query P($first: Int!, $after: String, $filter: ProvisionFilter) {
  provisions(first: $first, after: $after, filter: $filter) {
    ... on ProvisionConnection { edges { cursor node { id parts persons organisationId basisKind } }
      pageInfo { hasNextPage } }
    ... on UserError { code } ... on InvalidInput { fields { code } } } }"""


async def test_a_provision_is_exported_without_a_value_or_a_name(api: Api) -> None:
    basis = await api.basis(HEAD, parts=["identity/VALUE", "tax.grade/VALUE"])
    await api.basis(WIFE, parts=["identity/VALUE"])
    for person, bank in ((HEAD, "risk-a"), (HEAD, "risk-b")):
        reply = await api.ask(await api.system_token(bank), PROFILE, borrower(person))
        assert "errors" not in reply.json(), reply.text
    now = datetime.now(UTC)
    ingest = await api.hub.database.connect(DbRole.INGEST)
    try:
        lines: list[str] = []
        receipts = api.hub.accounts.receipts

        async def export(organisation: str | None) -> list[dict[str, object]]:
            lines.clear()
            made = await export_provisions(
                ingest, api.keys, receipts, lines.append,
                since=now - timedelta(hours=1), until=now + timedelta(hours=1), organisation=organisation,
                operator="op",
            )  # fmt: skip
            assert (made.rows, made.digest) == (len(lines), hashlib.sha256("".join(lines).encode()).hexdigest())
            return [json.loads(line) for line in lines]

        (given,) = await export(None)  # bank B was refused, so nothing was provided to it
        assert {name: given[name] for name in ("recipient", "system", "officer", "purpose", "county")} == {
            "recipient": BANK_A, "system": "risk-a", "officer": "officer.li", "purpose": "LOAN_APPLICATION",
            "county": COUNTY,
        }  # fmt: skip
        assert given["parts"] == ["identity/VALUE", "tax.grade/VALUE"]
        assert (given["basis"], given["basisKind"], given["reference"]) == (str(basis), "CASE", "test")
        assert given["persons"] == [api.keys.pseudonym(SPACE, each.person_id) for each in (HEAD, WIFE)]
        assert not {HEAD.number, HEAD.name, str(HEAD.person_id), "CANARY"} & set("".join(lines).split('"'))
        assert "CANARY" not in "".join(lines)
        assert await export(BANK_B) == []
        await read_by_a_regulator(api, given)
        told = await api.owner.fetch("SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry")
        assert sum('"provision:operator:exported"' in row["entry"] for row in told) == 2
    finally:
        await ingest.close()


async def read_by_a_regulator(api: Api, given: dict[str, object]) -> None:
    """The same record over the API, page by page, for regulators alone; that they read is recorded."""
    page, receipt = await done(api, api.account_token("regulator"), PROVISIONS, {"first": 1})
    (edge,) = page["edges"]
    assert receipt
    assert (edge["node"]["id"], edge["node"]["parts"], edge["node"]["persons"]) == (
        given["entry"], given["parts"], given["persons"],
    )  # fmt: skip
    assert (edge["node"]["organisationId"], edge["node"]["basisKind"]) == (BANK_A, "CASE")
    assert not page["pageInfo"]["hasNextPage"]
    rest, _ = await done(api, api.account_token("regulator"), PROVISIONS, {"first": 1, "after": edge["cursor"]})
    assert rest["edges"] == []
    other, _ = await done(
        api, api.account_token("regulator"), PROVISIONS, {"first": 1, "filter": {"organisationId": BANK_B}}
    )
    assert other["edges"] == []
    wrong, _ = await done(api, api.account_token("regulator"), PROVISIONS, {"first": 1, "filter": {"since": "today"}})
    assert wrong["fields"][0]["code"] == "INSTANT_MALFORMED"
    entries = await api.entries()
    for token in (api.account_token("head"), await api.system_token()):
        refused, _ = await done(api, token, PROVISIONS, {"first": 1})
        assert refused["code"] == "NOT_ALLOWED"
    assert await api.entries() == entries
    told = await api.owner.fetch("SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry")
    assert sum('"provision:auditor:listed"' in row["entry"] for row in told) == 3


async def test_what_is_kept_for_a_time_only_goes_by_mode_and_never_before_the_law_allows(api: Api) -> None:
    ingest = await api.hub.database.connect(DbRole.INGEST)
    now = datetime.now(UTC)
    try:
        for years in (2, 4, 6):
            await api.owner.execute(
                "INSERT INTO access.officer_query (county, ev, asked_at, day, asker, organisation_id, officer, purpose,"
                " decision) VALUES ($1, gen_random_uuid(), $2::timestamptz, $2::timestamptz::date, 'risk-a', $3, $4,"
                " 'LOAN_APPLICATION', 'allow')",
                COUNTY, now - timedelta(days=366 * years), BANK_A, f"officer.{years}",
            )  # fmt: skip
        await api.owner.execute("UPDATE auth.session SET begun_at = begun_at - interval '2 years', ends_at = ends_at"
                                " - interval '2 years' WHERE account_id = 'wife'")  # fmt: skip
        due = {each.rule.kept: each.rows for each in await due_now(ingest, lambda: now)}
        assert due == {rule.kept: 0 for rule in kept_in(LegalMode.LICENSED_BUREAU)} | {"PROVISIONS": 1, "SIGN_INS": 1}
        assert await officers(api) == ["officer.2", "officer.4", "officer.6"]  # telling changes nothing
        assert await destroy_kept(ingest, api.hub.accounts.receipts, lambda: now) == 2
        assert await officers(api) == ["officer.2", "officer.4"]
        assert await api.owner.fetchval("SELECT count(*) FROM auth.session") == 1
        # A platform keeps them for three years.
        await api.owner.execute("UPDATE access.policy_set SET legal_mode = 'PUBLIC_PLATFORM'")
        assert await destroy_kept(ingest, api.hub.accounts.receipts, lambda: now) == 1
        assert await officers(api) == ["officer.2"]
        # 1081 days are less than three years, though a span in months of 30 days says more.
        await api.owner.execute("UPDATE access.officer_query SET day = $1", (now - timedelta(days=1083)).date())
        span = "SELECT access.expire_kept('PROVISIONS', '1081 days', now(), 100)"
        assert await ingest.fetchval(span) == 0
        # Less than the law's three years is not possible, whatever is asked for and whatever the clock says.
        asked = "SELECT access.expire_kept('PROVISIONS', '1 day', now() + interval '9 years', 100)"
        assert await ingest.fetchval(asked) == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ingest.execute("DELETE FROM access.officer_query")
        with pytest.raises(asyncpg.PostgresError, match="nothing of this name"):
            await ingest.fetchval("SELECT access.expire_kept('auth.account', '1 day', now(), 100)")
        entries = await api.owner.fetch("SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry")
        assert sum('"kept:hub:destroyed"' in row["entry"] for row in entries) == 3
    finally:
        await ingest.close()


async def officers(api: Api) -> list[str]:
    rows = await api.owner.fetch("SELECT officer FROM access.officer_query ORDER BY officer")
    return [row["officer"] for row in rows]


def test_every_mode_destroys_everything_that_is_kept_for_a_time_only() -> None:
    kept = [{rule.kept for rule in kept_in(mode)} for mode in LegalMode]
    assert kept[0] == kept[1] == kept[2]
    for mode in LegalMode:
        assert len(kept_in(mode)) == len(kept[0])
        assert all(rule.months is not None for rule in kept_in(mode))
