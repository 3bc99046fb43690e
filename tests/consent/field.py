"""A running hub with a collector, his device, witnesses and reviewers, for the tests of captured consent."""

import io
import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from PIL import Image

from hub.core.text import normalise_name
from hub.flows.people.change_account import HOLDER_PURPOSE
from hub.sandbox.device import FieldDevice, picture_of
from hub.store.database import Database
from tests.api.world import BANK_A, COUNTY, HEAD, Api, Person, borrower, running_api

VILLAGE = "533103001001"
PARTS = [{"category": "roster", "form": "VALUE"}, {"category": "identity", "form": "VALUE"}]
PART_KEYS = ["roster/VALUE", "identity/VALUE"]
W1 = Person(uuid4(), "533103197505050517", "岩光")
W2 = Person(uuid4(), "533103197606060626", "岩明")
SUBJECT = Person(uuid4(), "533103196907070735", "岩亮")
KIN = Person(uuid4(), "533103199308080847", "玉亮")
YOUNG = Person(uuid4(), "533103201209090951", "玉小")
AFAR = Person(uuid4(), "533102196001010107", "木远")
COLLECTOR_HIMSELF = Person(uuid4(), "533103198810101012", "岩采")
STEWARD_HIMSELF = Person(uuid4(), "533103198811111124", "岩核")

REQUEST = """mutation($input: RequestConsentInput!) { requestConsent(input: $input) {
  __typename ... on ConsentRequested { requestId } } }"""
FORM = """query($input: ConsentFormInput!) { consentForm(input: $input) {
  __typename ... on ConsentForm { notice noticeVersion noticeHash }
  ... on NotFound { code } ... on NotAllowed { code } } }"""
CAPTURE = """mutation($input: CaptureConsentsInput!) { captureConsents(input: $input) {
  __typename ... on ConsentsCaptured { evidence slips { counter kind captureId state review wasKnown } }
  ... on InvalidInput { fields { code message } } ... on NotAllowed { code } } }"""
VERIFY = """mutation($input: VerifyConsentInput!) { verifyConsent(input: $input) {
  __typename ... on ConsentVerified { state consentId evidenceLevel }
  ... on InvalidInput { fields { code } } ... on NotFound { code } ... on NotAllowed { code } } }"""
LIST = """query($first: Int!, $after: String) { consentCaptures(first: $first, after: $after) {
  __typename ... on CaptureConnection { pageInfo { endCursor hasNextPage }
    edges { node { id flags state mustCallBack evidenceReceived } } } ... on NotAllowed { code } } }"""
SHOW = """query($id: ID!, $reason: String!) { consentCapture(id: $id, reason: $reason) {
  __typename ... on ConsentCapture { flags blockedBy evidenceLevel witnessesCounted person { name idMasked }
    witnesses { name } notice mustCallBack evidence { id hasCome } }
  ... on InvalidInput { fields { code } } ... on NotFound { code } ... on NotAllowed { code } } }"""
EVIDENCE = """query($id: ID!, $reason: String!) { consentEvidence(id: $id, reason: $reason) {
  __typename ... on EvidenceContent { mediaType digest content }
  ... on NotFound { code } ... on NotAllowed { code } } }"""
WITHDRAW = """mutation($input: WithdrawConsentInput!) { withdrawConsent(input: $input) { __typename } }"""
PROFILE = """query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) {
  __typename ... on BorrowerProfile { identity { name } withheld { reason } } } }"""

_TABLES = (
    "consent.request", "consent.record", "consent.event", "consent.basis", "consent.capture", "consent.capture_batch",
    "consent.capture_witness", "consent.evidence", "consent.evidence_piece", "consent.device",
)  # fmt: skip


def photo(shade: int = 200) -> bytes:
    """A form, photographed: a small clean PNG. Another shade is another picture."""
    held = io.BytesIO()
    Image.new("L", (40, 30), shade % 256).save(held, "PNG")
    content = held.getvalue()
    if shade < 256:
        return content
    # More pictures than shades: the physical size of a point makes the difference.
    chunk = b"pHYs" + struct.pack(">IIB", shade, shade, 1)
    place = content.index(b"IDAT") - 4
    return content[:place] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[place:]


@dataclass
class Field:
    """The hub, the device, and what a test does with them over HTTP."""

    api: Api
    device: FieldDevice
    shade: int = 0

    async def say(self, account: str, document: str, variables: dict[str, Any]) -> dict[str, Any]:
        token = await self.api.system_token() if account == "risk-a" else self.api.account_token(account)
        reply = await self.api.ask(token, document, variables)
        body = reply.json()
        assert "errors" not in body, body
        (answer,) = body["data"].values()
        return dict(answer)

    async def asked(self, person: Person = SUBJECT) -> str:
        """A bank asks; the id is what the person brings along."""
        identity = {"idNumber": person.number, "name": person.name}
        answer = await self.say("risk-a", REQUEST, {"input": {
            "idempotencyKey": uuid4().hex, "borrower": identity, "purpose": "LOAN_APPLICATION", "officer": "li",
            "parts": PARTS,
        }})  # fmt: skip
        return str(answer["requestId"])

    async def form(self, request_id: str, person: Person = SUBJECT, account: str = "collector") -> dict[str, Any]:
        return await self.say(account, FORM, {"input": {
            "device": self.device.device_id, "requestId": request_id,
            "person": {"idNumber": person.number, "name": person.name},
        }})  # fmt: skip

    async def yes(self, person: Person = SUBJECT, **changes: Any) -> tuple[dict[str, Any], bytes]:
        """A whole yes on paper with two witnesses and a photo: request, form, slip; the slip waits in the device."""
        request_id = changes.pop("request_id", None) or await self.asked(person)
        notice = changes.pop("notice", None)
        if notice is None:
            form = await self.form(request_id, person)
            notice = (form["noticeVersion"], form["noticeHash"])
        self.shade += 1
        content = photo(self.shade)
        facts: dict[str, Any] = {
            "witnesses": [(W1.number, W1.name), (W2.number, W2.name)], "evidence": [picture_of(content)],
            "form_no": f"F-{self.shade}", "parts": PART_KEYS,
        } | changes  # fmt: skip
        return self.device.consent((person.number, person.name), request_id, notice, **facts), content

    async def deliver(self, batch: str | None = None, account: str = "collector", **more: Any) -> dict[str, Any]:
        signed = self.device.batch() if batch is None else batch
        answer = await self.say(account, CAPTURE, {"input": {"idempotencyKey": uuid4().hex, "batch": signed} | more})
        if batch is None and answer["__typename"] == "ConsentsCaptured":
            self.device.delivered()
        return answer

    async def upload(self, content: bytes, digest: str | None = None, account: str = "collector") -> httpx.Response:
        digest = digest or picture_of(content)["sha256"]
        token = self.api.account_token(account)
        return await self.api.http.put(
            f"/evidence/{digest}", content=content, headers={"authorization": f"Bearer {token}"}
        )

    async def captured(self, person: Person = SUBJECT, **changes: Any) -> str:
        """A yes that came in whole, with its picture; gives the capture's id."""
        _, content = await self.yes(person, **changes)
        answer = await self.deliver()
        for digest in answer["evidence"]:
            if digest == picture_of(content)["sha256"]:
                assert (await self.upload(content)).status_code == 201
        return str(answer["slips"][-1]["captureId"])

    async def decide(self, capture: str, account: str = "steward", **changes: Any) -> dict[str, Any]:
        facts = {
            "idempotencyKey": uuid4().hex,
            "captureId": capture,
            "accept": True,
            "calledBack": True,
            "reason": "复核",
        }
        return await self.say(account, VERIFY, {"input": facts | changes})

    async def show(self, capture: str, account: str = "steward") -> dict[str, Any]:
        return await self.say(account, SHOW, {"id": capture, "reason": "复核"})

    async def sees(self, person: Person = SUBJECT) -> bool:
        """Whether the bank sees the person now."""
        answer = await self.say("risk-a", PROFILE, borrower(person))
        name = answer["identity"]["name"]
        assert (name is None) == bool(answer["withheld"])
        return name is not None

    async def state(self, *but: str) -> dict[str, Any]:
        """A digest of every row of the tables of consent."""
        return {
            table: await self.api.owner.fetchval(
                f"SELECT md5(string_agg(t::text, ' ' ORDER BY t::text)) FROM {table} t"
            )
            for table in _TABLES
            if table not in but
        }

    async def register(self, device: FieldDevice, account: str, village: str = VILLAGE) -> None:
        await self.api.owner.execute(
            "SELECT consent.register_device($1, $2, $3, $4, $5)",
            device.device_id, account, village, json.dumps(device.jwk), device.key.thumbprint(),
        )  # fmt: skip


@asynccontextmanager
async def running_field(database: Database, home: Path) -> AsyncIterator[Field]:
    async with running_api(database, home) as api:
        await _settle(api, uuid4(), VILLAGE, [SUBJECT, KIN, YOUNG])
        await _settle(api, uuid4(), VILLAGE, [W1])
        await _settle(api, uuid4(), VILLAGE, [W2, COLLECTOR_HIMSELF])
        await _settle(api, uuid4(), VILLAGE, [STEWARD_HIMSELF])
        await _settle(api, uuid4(), "533103009009", [AFAR])
        for account, role, villages in (
            ("collector", "COLLECTOR", [VILLAGE]), ("collector-2", "COLLECTOR", [VILLAGE]), ("steward", "STEWARD", []),
            ("steward-kin", "STEWARD", []), ("steward-witness", "STEWARD", []), ("collector-as-steward", "STEWARD", []),
            ("steward-2", "STEWARD", []),
        ):  # fmt: skip
            await api.owner.execute(
                "INSERT INTO auth.account (account_id, role, county_codes, village_codes) VALUES ($1, $2, $3, $4)",
                account, role, [COUNTY], villages,
            )  # fmt: skip
        await api.owner.execute(
            "INSERT INTO auth.account (account_id, role, county_codes) VALUES ('steward-far', 'STEWARD', '{533102}')"
        )
        await api.owner.execute(
            "INSERT INTO auth.account (account_id, role, person_id, county_codes)"
            " VALUES ('subject', 'RESIDENT', $1, $2)",
            SUBJECT.person_id, [COUNTY],
        )  # fmt: skip
        for account, person in (
            ("collector", COLLECTOR_HIMSELF), ("collector-as-steward", COLLECTOR_HIMSELF), ("steward", STEWARD_HIMSELF),
            ("steward-kin", KIN), ("steward-witness", W1), ("steward-2", AFAR),
        ):  # fmt: skip
            await _hold(api, account, person)
        field = Field(api, FieldDevice("device-1"))
        await field.register(field.device, "collector")
        yield field


async def _hold(api: Api, account: str, person: Person) -> None:
    """Let a person hold an account, as `hub account open` does."""
    text = json.dumps({"id_number": person.number, "name": person.name}).encode()
    await api.owner.execute(
        "UPDATE auth.account SET holder = $2, sealed_holder = $3 WHERE account_id = $1",
        account, api.keys.index(HOLDER_PURPOSE, person.number), api.keys.seal(HOLDER_PURPOSE, text, account.encode()),
    )  # fmt: skip


async def _settle(api: Api, household: UUID, village: str, people: list[Person]) -> None:
    await api.owner.execute(
        "INSERT INTO record.household (county, household_id, household_no, held, status, village_code)"
        " VALUES ($1, $2, $3, true, 'ACTIVE', $4)", COUNTY, household, f"H{household}", village,
    )  # fmt: skip
    for person in people:
        index = api.keys.index("identity", person.number)
        born = date.fromisoformat(f"{person.number[6:10]}-{person.number[10:12]}-{person.number[12:14]}")
        await api.owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person.person_id, COUNTY)
        await api.owner.execute(
            "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
            " household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6, '')",
            COUNTY, person.person_id, index, api.keys.index("name", normalise_name(person.name)), born, household,
        )  # fmt: skip
        text = json.dumps({"name": f"CANARY-{person.person_id}", "ageBand": "45-54"})
        await api.owner.execute(
            "INSERT INTO record.section (county, household_id, person_id, category, form, owner, body, source,"
            " folded_at, fold_version, digest) VALUES ($1, $2, $3, 'identity', 'VALUE', '', $4, 's', now(), 3,"
            " sha256($5))", COUNTY, household, person.person_id, text, text.encode(),
        )  # fmt: skip


__all__ = ["BANK_A", "HEAD", "Field", "running_field"]
