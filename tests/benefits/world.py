"""A running hub with benefit providers, sources that have delivered, and the people who decide on programmes."""

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.benefits.programme import Programme, programme_of
from hub.core.text import normalise_name
from hub.flows.disclosure.change_programmes import Version, approve_programme, propose_programme
from hub.flows.rules.approve_rules import ApprovalDesk
from hub.store.database import Database
from tests.api.world import COUNTY, HEAD, HOUSEHOLD, Api, Person, running_api
from tests.auth.clients import jwks, new_key

PROVIDER_A, PROVIDER_B = "hospital-a", "shop-b"
ELIGIBILITY = "eligibility/YES_NO"
KINDS = ("tax-rest", "social-view", "clinic-sftp", "bank-files", "civil-soap")

ASK = """query E($input: BenefitEligibilityInput!) { benefitEligibility(input: $input) { __typename
  ... on BenefitEligibility { programme programmeVersion period answer personId decisionId decidedAt validUntil
    signedAnswer
    withheld { field category form reason canAskConsent } }
  ... on NotAllowed { code } ... on InvalidInput { code fields { path code } } } }"""


def leaf(code: str, part: str, field: str, test: str, value: Any, **more: Any) -> dict[str, Any]:
    words = {"zh": f"条件{code}", "en": f"condition {code}"}
    return (
        {"code": code, "part": part, "test": test, "value": value} | ({"field": field} if field else {}) | words | more
    )


NO_ARREARS = leaf("no-tax-arrears", "tax.arrears/YES_NO", "value", "EQUALS", False, missing="MET")
SMALL = leaf("small-household", "roster/VALUE", "size", "AT_MOST", 6)
NO_ADVERSE = leaf("no-adverse", "adverse/VALUE", "", "AT_MOST", 0, over="NUMBER")


def programme(name: str, condition: dict[str, Any], organisation: str = PROVIDER_A, **changes: Any) -> Programme:
    head = {
        "id": name, "organisation": organisation, "name_zh": f"项目{name}", "name_en": f"programme {name}",
        "reference": "document 1 of the test", "period": "YEAR", "max_age_days": 45,
        "begins_on": date(2026, 1, 1), "ends_on": date(2028, 12, 31),
    }  # fmt: skip
    return programme_of({"programme": head | changes, "condition": condition})


class Benefits:
    """A running hub, and providers."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.key, self.proposer = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        self.consents = api.hub.ports.consents

    async def seed(self) -> None:
        owner = self.api.owner
        for provider in (PROVIDER_A, PROVIDER_B):
            await owner.execute("INSERT INTO access.organisation VALUES ($1, $1, $1, 'PROVIDER')", provider)
            self.api.client_keys[provider] = new_key("ES256")
            await owner.execute(
                "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
                " max_subjects_per_day, is_dpop_required) VALUES ($1, $1, 'PROVIDER', $2, $3, $4, 500, false)",
                provider, [COUNTY], ["BENEFIT_ELIGIBILITY"], json.dumps(jwks(self.api.client_keys[provider])),
            )  # fmt: skip
        for account in ("security-1", "security-2"):
            await owner.execute("INSERT INTO auth.account (account_id, role) VALUES ($1, 'SECURITY_ADMIN')", account)
            await owner.execute(
                "INSERT INTO access.approver (account_id, public_key, registered_at, confirmed_at)"
                " VALUES ($1, $2, now(), now())",
                account, (self.key if account == "security-1" else self.proposer).public_key().public_bytes_raw(),
            )  # fmt: skip
        await self.sources()

    async def clear(self) -> None:
        """No programmes, decisions and consents any more, and every source in order."""
        async with self.api.owner.transaction():
            await self.api.owner.execute(
                "ALTER TABLE benefit.programme DISABLE TRIGGER USER; ALTER TABLE consent.request DISABLE TRIGGER USER;"
                " UPDATE consent.request SET programme_id = NULL, programme_version = NULL, programme = NULL;"
                " DELETE FROM benefit.review; DELETE FROM benefit.decision; DELETE FROM benefit.programme;"
                " ALTER TABLE benefit.programme ENABLE TRIGGER USER; ALTER TABLE consent.request ENABLE TRIGGER USER;"
                " DELETE FROM consent.use; DELETE FROM consent.quota; DELETE FROM consent.basis;"
                " DELETE FROM access.officer_query"
            )
        await self.sources()

    async def sources(self, kind: str | None = None, *, hours: int = 1, status: str = "OK") -> None:
        """All sources, or those of one kind, delivered last so long ago."""
        for each in KINDS if kind is None else (kind,):
            await self.api.owner.execute(
                "INSERT INTO ingest.source_state (source, kind, last_ok_at, last_status) VALUES ($1, $1, $2, $3)"
                " ON CONFLICT (source) DO UPDATE SET last_ok_at = excluded.last_ok_at,"
                " last_status = excluded.last_status",
                each, datetime.now(UTC) - timedelta(hours=hours), status,
            )  # fmt: skip

    async def settle(self, person: Person) -> None:
        """A further person of the household, of whom no section tells anything."""
        index = self.api.keys.index("identity", person.number)
        owner = self.api.owner
        await owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person.person_id, COUNTY)
        await owner.execute(
            "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
            " household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6, '')",
            COUNTY, person.person_id, index, self.api.keys.index("name", normalise_name(person.name)),
            date(1970, 1, 1), HOUSEHOLD,
        )  # fmt: skip

    def desk(self) -> ApprovalDesk:
        return ApprovalDesk(self.api.owner, self.consents.receipts, "operator", datetime.now(UTC))

    async def approve(self, one: Programme, *accepted: str) -> Version:
        """Propose by one and approve by another."""
        made = await propose_programme(self.desk(), one, "security-2", self.proposer, production=True)
        return await approve_programme(
            self.desk(), made.programme_id, made.version, "security-1", self.key, accepted, production=True
        )  # fmt: skip

    async def consent(
        self, person: Person, version: str, parts: list[str], provider: str = PROVIDER_A, **changes: Any
    ) -> UUID:
        """A basis as a consent for a version of a programme (``id@version``) leaves it."""
        basis = uuid4()
        row = {"heightened": False, "max_uses": None} | changes
        await self.api.owner.execute(
            "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,"
            " heightened, effective_from, expires_at, max_uses) VALUES ($1, 'CASE', $8, $2, $3, $4,"
            " 'BENEFIT_ELIGIBILITY', $5, $6, now() - interval '1 minute', now() + interval '30 days', $7)",
            basis, COUNTY, provider, person.person_id, [ELIGIBILITY, *parts], row["heightened"], row["max_uses"],
            version,
        )  # fmt: skip
        return basis

    async def withdraw(self, person: Person) -> None:
        await self.api.owner.execute(
            "UPDATE consent.basis SET status = 'WITHDRAWN', ended_at = now() WHERE person_id = $1", person.person_id
        )

    async def reply(
        self, name: str, identity: dict[str, str], provider: str = PROVIDER_A, **changes: Any
    ) -> httpx.Response:
        token = await self.api.system_token(provider)
        asked = {"programme": name, "person": {"identity": identity}, "officer": "officer.li"} | changes
        return await self.api.ask(token, ASK, {"input": asked})

    async def ask(self, name: str, person: Person = HEAD, provider: str = PROVIDER_A, **changes: Any) -> dict[str, Any]:
        """The answer about one person; the reply carried its receipt."""
        reply = await self.reply(name, {"idNumber": person.number, "name": person.name}, provider, **changes)
        found: dict[str, Any] = reply.json()
        told: dict[str, Any] = found["data"]["benefitEligibility"]
        assert ("extensions" in found) == (told["__typename"] == "BenefitEligibility"), reply.text
        return told

    async def set_section(self, person: UUID, key: str, body: dict[str, Any] | None) -> None:
        """Another text in a section, or none at all."""
        category, form = key.split("/")
        await self.api.owner.execute(
            "DELETE FROM record.section WHERE household_id = $1 AND person_id = $2 AND category = $3 AND form = $4",
            HOUSEHOLD, person, category, form,
        )  # fmt: skip
        if body is not None:
            text = json.dumps(body)
            await self.api.owner.execute(
                "INSERT INTO record.section (county, household_id, person_id, category, form, owner, body, source,"
                " folded_at, fold_version, digest) VALUES ($1, $2, $3, $4, $5, '', $6, 's', now(), 3, $7)",
                COUNTY, HOUSEHOLD, person, category, form, text, hashlib.sha256(text.encode()).digest(),
            )  # fmt: skip


@asynccontextmanager
async def running_benefits(database: Database, home: Path) -> AsyncIterator[Benefits]:
    async with running_api(database, home) as api:
        benefits = Benefits(api)
        await benefits.seed()
        yield benefits
