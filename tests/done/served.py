"""A hub that answers over HTTP on loopback: three banks, four households, a mark in every value of every section."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import uvicorn

from hub.access.parts import PART_FACTS, RECORD_PARTS, part_key, part_of
from hub.access.publish import publish
from hub.app import Hub, build_app, open_hub
from hub.core.identifiers import id_check_character
from hub.core.text import normalise_name
from hub.main import listen
from hub.settings import Settings, load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.auth.clients import FORM, assertion, claims, form, jwks, new_key
from tests.done.marks import Marks
from tests.done.queries import GRANT, PROFILE, REFUSE, REQUEST, WITHDRAW

BANK_A, BANK_B, BANK_C = "402739000011", "402739000022", "402739000033"
COUNTY, OTHER_COUNTY = "533103", "533122"
NOBODY = UUID(int=0)
ALL_PARTS = [part_key(part) for part in RECORD_PARTS]
HOUSEHOLD_PARTS = {part_key(facts.part) for facts in PART_FACTS if facts.household}
PURPOSES = ["LOAN_APPLICATION", "CARD_APPLICATION", "POST_LOAN_REVIEW"]


def number_of(born: str, serial: int, area: str = COUNTY) -> str:
    """A sound ID number."""
    first17 = f"{area}{born}{serial:03}"
    return first17 + id_check_character(first17)


@dataclass(frozen=True)
class Person:
    """Somebody the tests speak of."""

    account: str
    number: str
    name: str
    county: str = COUNTY
    person_id: UUID = field(default_factory=uuid4)

    @property
    def born(self) -> date:
        return date.fromisoformat(f"{self.number[6:10]}-{self.number[10:12]}-{self.number[12:14]}")


HEAD = Person("head", number_of("19800101", 1), "岩 罕")
WIFE = Person("wife", number_of("19820202", 2), "玉香")
SON = Person("son", number_of("20000303", 3), "岩温")
CHILD = Person("child", number_of("20150404", 4), "小玉")
NEIGHBOUR = Person("neighbour", number_of("19750505", 5), "刀建国")
COUSIN = Person("cousin", number_of("19770606", 6), "刀二")
DEAD = Person("dead", number_of("19400707", 7), "岩旺")
FAR = Person("far", number_of("19700808", 8, OTHER_COUNTY), "李强", OTHER_COUNTY)
STRANGER = Person("nobody", number_of("19990909", 9), "岩罕")

HOUSEHOLDS: dict[UUID, tuple[str, list[Person]]] = {
    uuid4(): (COUNTY, [HEAD, WIFE, SON, CHILD]),
    uuid4(): (COUNTY, [NEIGHBOUR, COUSIN]),
    uuid4(): (COUNTY, [DEAD]),
    uuid4(): (OTHER_COUNTY, [FAR]),
}
PEOPLE = [person for _, people in HOUSEHOLDS.values() for person in people]
CLIENTS = {
    "officer-a": (BANK_A, "LOAN_OFFICER"),
    "risk-a": (BANK_A, "BANK_RISK"),
    "officer-b": (BANK_B, "LOAN_OFFICER"),
    "risk-b": (BANK_B, "BANK_RISK"),
}
STAFF = ("REGULATOR", "COLLECTOR", "STEWARD", "TOWNSHIP")


def household_of(person: Person) -> UUID:
    return next(household for household, (_, people) in HOUSEHOLDS.items() if person in people)


class Served:
    """The running hub, clients of it, and what stands in its database."""

    def __init__(self, hub: Hub, settings: Settings, owner: asyncpg.Connection) -> None:
        self.hub = hub
        self.settings = settings
        self.owner = owner
        self.keys = FileKeys(settings.keys_folder)
        self.marks = Marks()
        self.http = httpx.AsyncClient(base_url=settings.public_url, timeout=60)
        self.client_keys = {name: new_key("ES256") for name in CLIENTS}
        self._tokens: dict[str, str] = {}

    async def seed(self) -> None:
        """Banks, systems, accounts, people, sections; and a copy of every row that ever stood in the outbox."""
        await self.owner.execute(
            """CREATE SCHEMA watched; CREATE TABLE watched.pending AS TABLE audit.pending WITH NO DATA;
            CREATE FUNCTION watched.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
            BEGIN INSERT INTO watched.pending SELECT NEW.*; RETURN NULL; END $$;
            CREATE TRIGGER keep AFTER INSERT ON audit.pending FOR EACH ROW EXECUTE FUNCTION watched.keep()"""
        )
        await self.register()
        accounts = [(person.account, "RESIDENT", person.person_id, []) for person in PEOPLE]
        accounts += [(role.lower(), role, None, ["533103001001"] * (role == "COLLECTOR")) for role in STAFF]
        await self.owner.executemany(
            "INSERT INTO auth.account (account_id, role, person_id, county_codes, village_codes)"
            " VALUES ($1, $2, $3, $4, $5)",
            [(account, role, person, [COUNTY], villages) for account, role, person, villages in accounts],
        )
        for household, (county, people) in HOUSEHOLDS.items():
            await self._settle(household, county, people)

    async def register(self) -> None:
        """The banks and their systems."""
        await self.owner.executemany(
            "INSERT INTO access.organisation VALUES ($1, $1, $1, 'BANK')",
            [(bank,) for bank in (BANK_A, BANK_B, BANK_C)],
        )
        await self.owner.executemany(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
            " max_subjects_per_day, is_dpop_required) VALUES ($1, $2, $3, $4, $5, $6, 50, false)",
            [
                (name, bank, role, [COUNTY], PURPOSES, json.dumps(jwks(self.client_keys[name])))
                for name, (bank, role) in CLIENTS.items()
            ],
        )

    async def _settle(self, household: UUID, county: str, people: list[Person]) -> None:
        await self.owner.execute(
            "INSERT INTO record.household (county, household_id, household_no, held, status, village_code)"
            " VALUES ($1, $2, $3, true, 'ACTIVE', $4)",
            county, household, f"H{household}", f"{county}001001",
        )  # fmt: skip
        for person in people:
            index = self.keys.index("identity", person.number)
            await self.owner.execute(
                "INSERT INTO record.directory VALUES ($1, $2, $3)", index, person.person_id, county
            )
            await self.owner.execute(
                "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
                " status, household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6, $7, '')",
                county, person.person_id, index, self.keys.index("name", normalise_name(person.name)), person.born,
                "DECEASED" if person is DEAD else "ACTIVE", household,
            )  # fmt: skip
        rows = [self._section(county, household, None, key, "") for key in HOUSEHOLD_PARTS]
        for person in people:
            for key in ALL_PARTS:
                if key not in HOUSEHOLD_PARTS:
                    owners = (BANK_A, BANK_B, BANK_C) if key.startswith("bank.") else ("",)
                    rows += [self._section(county, household, person.person_id, key, owner) for owner in owners]
        await self.owner.executemany(
            "INSERT INTO record.section (county, household_id, person_id, category, form, owner, body, source,"
            " folded_at, fold_version, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, 's', now(), 3, $8)",
            rows,
        )

    def _section(self, county: str, household: UUID, person: UUID | None, key: str, owner: str) -> tuple[Any, ...]:
        category, form_name = key.split("/")
        # Marks of the household's own sections are told apart by the household.
        body = self.marks.body(part_of(key), (person or household, key, owner))
        text = json.dumps(body)
        digest = hashlib.sha256(text.encode()).digest()
        return county, household, person or NOBODY, category, form_name, owner, text, digest

    # Asking -------------------------------------------------------------------------------------------------------

    async def token(self, who: str) -> str:
        """A token of a system by the real endpoint, of a person's account as the sandbox issues it."""
        if who not in self._tokens:
            if who in CLIENTS:
                signed = assertion(self.client_keys[who], claims(who, aud=self.hub.issuer.issuer))
                reply = await self.http.post("/oauth2/token", content=form(signed), headers=FORM)
                assert reply.status_code == 200, reply.text
                self._tokens[who] = reply.json()["access_token"]
            else:
                self._tokens[who] = self.hub.issuer.issue_for_account(who).token
        return self._tokens[who]

    async def ask(
        self, who: str, query: str, variables: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        """One operation over HTTP."""
        return await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables or {}},
            headers={"authorization": f"Bearer {await self.token(who)}"} | headers,
        )

    async def profile(self, who: str, person: Person, **changes: Any) -> httpx.Response:
        """The profile of a person, by number and name."""
        return await self.ask(who, PROFILE, profile_input(person, **changes))

    async def change(self, who: str, query: str, **given: Any) -> dict[str, Any]:
        """A change that must succeed; its answer."""
        reply = await self.ask(who, query, {"input": {"idempotencyKey": uuid.uuid4().hex} | given})
        body = reply.json()
        assert "errors" not in body, reply.text
        (answer,) = body["data"].values()
        assert answer["__typename"] not in {"NotFound", "NotAllowed", "InvalidInput"}, reply.text
        assert body["extensions"]["receipt"]["index"] >= 0
        return dict(answer) | {"index": body["extensions"]["receipt"]["index"]}

    async def request(self, person: Person, client: str = "risk-a", **changes: Any) -> str:
        """A bank asks a person; the id of the request."""
        answer = await self.change(client, REQUEST, **request_input(person, **changes))
        return str(answer["requestId"])

    async def grant(self, person: Person, client: str = "risk-a", **changes: Any) -> str:
        """A bank asks, the person says yes to everything; the id of the consent."""
        request = await self.request(person, client, **changes)
        answer = await self.change(person.account, GRANT, requestId=request, heightenedNotice=True)
        return str(answer["consentId"])

    async def refuse(self, person: Person, client: str = "risk-a") -> None:
        await self.change(person.account, REFUSE, requestId=await self.request(person, client))

    async def withdraw(self, person: Person, consent: str) -> int:
        """The person takes a consent back; the place of its entry in the log."""
        return int((await self.change(person.account, WITHDRAW, consentId=consent))["index"])


def profile_input(person: Person, **changes: Any) -> dict[str, Any]:
    identity = {"idNumber": person.number, "name": person.name}
    return {
        "input": {"borrower": {"identity": identity}, "purpose": "LOAN_APPLICATION", "officer": "officer.li"} | changes
    }


def request_input(person: Person, **changes: Any) -> dict[str, Any]:
    return {
        "borrower": {"idNumber": person.number, "name": person.name},
        "purpose": "LOAN_APPLICATION",
        "parts": [dict(zip(("category", "form"), key.split("/"), strict=True)) for key in OPEN_TO_RISK],
        "officer": "officer.li",
        "applicationRef": "A-1",
    } | changes


OPEN_TO_RISK = [key for key in ALL_PARTS if key not in {"clinic.arrears/VALUE", "civil.relief/VALUE"}]
"""The parts that a bank's risk desk may ask for before a loan."""


@asynccontextmanager
async def listening(hub: Hub, bound: Any) -> AsyncIterator[None]:
    """The application behind uvicorn, set up as `hub serve` does."""
    server = uvicorn.Server(
        uvicorn.Config(
            build_app(hub), loop="none", http="httptools", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, proxy_headers=False, timeout_graceful_shutdown=5,
        )
    )  # fmt: skip
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve(sockets=[bound]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def served_hub(database: Database, home: Path) -> AsyncIterator[Served]:
    """Everything running; the hub listens on a port of its own."""
    bound = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    settings = load({"HUB_HOME": str(home), "HUB_PUBLIC_URL": address})
    owner = await database.connect(DbRole.OWNER)
    try:
        await publish(owner, FileKeys(settings.keys_folder))
        async with open_hub(settings, database) as hub, listening(hub, bound):
            served = Served(hub, settings, owner)
            await served.seed()
            async with served.http:
                yield served
    finally:
        bound.close()
        await owner.close()
