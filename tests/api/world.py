"""A running hub on a real database: one household, two banks, people with accounts, a canary in every value."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx

from hub.access.parts import PART_FACTS, RECORD_PARTS, part_key
from hub.access.publish import publish
from hub.app import Hub, build_app, open_hub
from hub.core.text import normalise_name
from hub.settings import Settings, load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.auth.clients import FORM, assertion, claims, form, jwks, new_key

BANK_A, BANK_B = "402739000011", "402739000022"
COUNTY = "533103"
NOBODY = UUID(int=0)
HOUSEHOLD_PARTS = {part_key(facts.part) for facts in PART_FACTS if facts.household}
ALL_PARTS = [part_key(part) for part in RECORD_PARTS]


@dataclass(frozen=True)
class Person:
    person_id: UUID
    number: str
    name: str


HEAD = Person(uuid4(), "533103198001010014", "岩 罕")
WIFE = Person(uuid4(), "533103198202020024", "玉香")
STRANGER_NUMBER = "533103199909090012"
HOUSEHOLD = uuid4()

_PROVENANCE = {
    "source": "source-of-test",
    "sourceTime": "2026-09-01T08:00:00+08:00",
    "recordedAt": "2026-09-02T08:00:00+08:00",
    "sourceVersion": "7",
    "validFrom": "2026-01-01",
    "validTo": None,
}


def canary(person: UUID | None, key: str, field: str, owner: str = "") -> str:
    """A text that stands in one field of one section."""
    return "CANARY-" + hashlib.sha256(f"{person}|{key}|{field}|{owner}".encode()).hexdigest()[:16]


TEXT_FIELDS = {
    "identity/VALUE": "name",
    "roster/VALUE": "villageName",
    "tax.registration/VALUE": "taxpayerName",
    "tax.grade/VALUE": "grade",
    "tax.arrears/VALUE": "arrearsNo",
    "tax.band/BAND": "taxPaidBand",
    "social.insurance/VALUE": "insuranceType",
    "clinic.arrears/VALUE": "arrearsBalance",
    "clinic.arrears/BAND": "balanceBand",
    "civil.relief/VALUE": "reliefType",
    "bank.line/VALUE": "lineNo",
    "bank.loan/VALUE": "contractNo",
    "adverse/VALUE": "kind",
    "conflict/VALUE": "source",
}
"""Part -> the text field that carries the canary; the other parts hold numbers or yes and no."""


def body_of(person: UUID | None, key: str, owner: str) -> dict[str, Any]:
    if key == "bank.line/TOTAL":
        return {"amount": "1000.50"}
    if key == "bank.loan/TOTAL":
        return {"balance": "2000.25", "loans": 2, "worstClass": "3"}
    if key.endswith("/YES_NO"):
        return {"value": True}
    item: dict[str, Any] = {TEXT_FIELDS[key]: canary(person, key, TEXT_FIELDS[key], owner)}
    if key in ("roster/VALUE", "identity/VALUE"):
        return item | ({"size": 4, "minors": 1} if key == "roster/VALUE" else {"ageBand": "45-54"})
    return {"items": [item | {"provenance": _PROVENANCE}]}


@dataclass(frozen=True)
class SignedIn:
    """A browser's person, as the sign-in desk tells of him."""

    account_id: str
    session_id: UUID
    amr: tuple[str, ...] = ("pop", "user", "mfa")
    signed_in_at: datetime | None = None


SESSIONS = {"head": uuid4(), "wife": uuid4()}


class Visitors:
    """Stands for the sign-in desk: the cookie names the account itself."""

    async def of(self, request: Any) -> SignedIn | None:
        account = request.cookies.get("test-account")
        return SignedIn(account, SESSIONS[account]) if account else None


class Api:
    """The application, and clients of it."""

    def __init__(self, hub: Hub, owner: asyncpg.Connection, keys: FileKeys, visitors: Visitors | None = None) -> None:
        self.visitors = visitors or Visitors()
        self.hub = hub
        self.owner = owner
        self.keys = keys
        self.app = build_app(hub)
        transport = httpx.ASGITransport(app=self.app)
        self.http = httpx.AsyncClient(transport=transport, base_url=hub.issuer.issuer)
        self.client_keys = {name: new_key("ES256") for name in ("risk-a", "risk-b", "suspended")}

    async def seed(self) -> None:
        for bank in (BANK_A, BANK_B):
            await self.owner.execute("INSERT INTO access.organisation VALUES ($1, $2, $2, 'BANK')", bank, f"银行{bank}")
        for name, bank, status in (
            ("risk-a", BANK_A, "ACTIVE"), ("risk-b", BANK_B, "ACTIVE"), ("suspended", BANK_B, "SUSPENDED"),
        ):  # fmt: skip
            await self.owner.execute(
                "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks, status,"
                " max_subjects_per_day, is_dpop_required) VALUES ($1, $2, 'BANK_RISK', $3, $4, $5, $6, 50, false)",
                name, bank, [COUNTY], ["LOAN_APPLICATION"], json.dumps(jwks(self.client_keys[name])), status,
            )  # fmt: skip
        for account, role, person in (("head", "RESIDENT", HEAD.person_id), ("wife", "RESIDENT", WIFE.person_id),
                                      ("regulator", "REGULATOR", None)):  # fmt: skip
            await self.owner.execute(
                "INSERT INTO auth.account (account_id, role, person_id, county_codes) VALUES ($1, $2, $3, $4)",
                account, role, person, [COUNTY],
            )  # fmt: skip
        for account in SESSIONS:
            await self.begin_session(account)
        await self.owner.execute(
            "INSERT INTO record.household (county, household_id, household_no, held, status, village_code)"
            " VALUES ($1, $2, 'H1', true, 'ACTIVE', '533103001001')", COUNTY, HOUSEHOLD,
        )  # fmt: skip
        for person in (HEAD, WIFE):
            await self._settle(person)
        for key in HOUSEHOLD_PARTS:
            await self.section(NOBODY, key)

    async def begin_session(self, account: str) -> None:
        """A session at a browser, as the sign-in desk would have begun it."""
        session = SESSIONS[account]
        await self.owner.execute(
            "INSERT INTO auth.session (session_id, digest, account_id, method, factors, ends_at)"
            " VALUES ($1, $2, $3, 'CODE', 1, now() + interval '1 hour')",
            session, hashlib.sha256(session.bytes).digest(), account,
        )  # fmt: skip

    async def _settle(self, person: Person) -> None:
        index = self.keys.index("identity", person.number)
        await self.owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person.person_id, COUNTY)
        await self.owner.execute(
            "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
            " household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6, '')",
            COUNTY, person.person_id, index, self.keys.index("name", normalise_name(person.name)), date(1980, 1, 1),
            HOUSEHOLD,
        )  # fmt: skip
        for key in ALL_PARTS:
            if key not in HOUSEHOLD_PARTS:
                for owner in (BANK_A, BANK_B) if key.startswith("bank.") else ("",):
                    await self.section(person.person_id, key, owner)

    async def section(self, person: UUID, key: str, owner: str = "") -> None:
        category, form_name = key.split("/")
        text = json.dumps(body_of(None if person == NOBODY else person, key, owner))
        await self.owner.execute(
            "INSERT INTO record.section (county, household_id, person_id, category, form, owner, body, source,"
            " folded_at, fold_version, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, 's', now(), 3, $8)",
            COUNTY, HOUSEHOLD, person, category, form_name, owner, text, hashlib.sha256(text.encode()).digest(),
        )  # fmt: skip

    async def basis(self, person: Person, bank: str = BANK_A, parts: list[str] | None = None) -> UUID:
        """A basis in force, as a grant would leave it."""
        basis, begins = uuid4(), datetime.now(UTC) - timedelta(minutes=1)
        await self.owner.execute(
            "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,"
            " heightened, effective_from, expires_at)"
            " VALUES ($1, 'CASE', 'test', $2, $3, $4, 'LOAN_APPLICATION', $5, true, $6, $7)",
            basis, COUNTY, bank, person.person_id, parts or ALL_PARTS, begins, begins + timedelta(days=3),
        )  # fmt: skip
        return basis

    async def system_token(self, client: str = "risk-a") -> str:
        """A token by the real endpoint."""
        signed = assertion(self.client_keys[client], claims(client, aud=self.hub.issuer.issuer))
        reply = await self.http.post("/oauth2/token", content=form(signed), headers=FORM)
        assert reply.status_code == 200, reply.text
        token: str = reply.json()["access_token"]
        return token

    def account_token(self, account: str) -> str:
        return self.hub.issuer.issue_for_account(account).token

    async def ask(
        self, token: str, query: str, variables: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        return await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables or {}},
            headers={"authorization": f"Bearer {token}"} | headers,
        )

    async def entries(self) -> int:
        """Everything ever recorded: what waits and what the log holds, at one moment."""
        return int(
            await self.owner.fetchval(
                "SELECT (SELECT count(*) FROM audit.pending) + (SELECT coalesce(max(size), 0) FROM audit.head)"
            )
        )


@asynccontextmanager
async def running_api(database: Database, home: Path) -> AsyncIterator[Api]:
    """The running hub over a seeded database."""
    settings, visitors = settings_in(home), Visitors()
    keys = FileKeys(settings.keys_folder)
    owner = await database.connect(DbRole.OWNER)
    try:
        await publish(owner, keys)
        async with open_hub(settings, database, visitors=visitors) as hub:
            api = Api(hub, owner, keys, visitors)
            await api.seed()
            yield api
            await api.http.aclose()
    finally:
        await owner.close()


def borrower(person: Person, **changes: Any) -> dict[str, Any]:
    """Variables that name a person by number and name."""
    identity = {"idNumber": person.number, "name": person.name}
    return {
        "input": {"borrower": {"identity": identity}, "purpose": "LOAN_APPLICATION", "officer": "officer.li"} | changes
    }


def settings_in(home: Path) -> Settings:
    # Denials need not take their time where nobody measures it (tests/attacks/test_timing.py does).
    return load({"HUB_HOME": str(home), "HUB_PUBLIC_URL": "http://127.0.0.1:8000", "HUB_EVEN_STEP_MS": "1"})


__all__ = ["Api", "Database", "DbRole", "open_hub"]
