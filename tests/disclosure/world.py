"""A small world to ask about: one household of three adults, two banks, people with accounts, canaries everywhere."""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from hub.access.parts import PART_FACTS, RECORD_PARTS, part_key
from hub.access.publish import publish
from hub.core.ids import uuid7
from hub.core.text import normalise_name
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

BANK_A, BANK_B, BANK_C = "402739000011", "402739000022", "402739000033"
COUNTY, OTHER_COUNTY = "533103", "533102"
NOBODY = UUID(int=0)
ALL_PARTS = [part_key(part) for part in RECORD_PARTS]
HOUSEHOLD_PARTS = {part_key(facts.part) for facts in PART_FACTS if facts.household}


@dataclass(frozen=True)
class Person:
    person_id: UUID
    number: str
    name: str


HEAD = Person(uuid4(), "533103198001011234", "岩 罕")
WIFE = Person(uuid4(), "533103198202022345", "玉香")
SON = Person(uuid4(), "533103200003033456", "岩温")
CHILD = Person(uuid4(), "533103201504044567", "小玉")
DEAD = Person(uuid4(), "533103194005055678", "岩旺")
FAR = Person(uuid4(), "533102197006066789", "李强")
STRANGER = Person(uuid4(), "533103199909099999", "无人")
HOUSEHOLD, FAR_HOUSEHOLD = uuid4(), uuid4()


def canary(person: UUID | None, key: str, owner: str = "") -> str:
    """A text that stands in exactly one section."""
    return "CANARY-" + hashlib.sha256(f"{person}|{key}|{owner}".encode()).hexdigest()[:20]


class World:
    """Tables filled as their owner; everything asked as the application's role."""

    def __init__(self, owner: asyncpg.Connection, app: asyncpg.Connection, database: Database, keys: FileKeys) -> None:
        self.owner = owner
        self.app = app
        self.database = database
        self.keys = keys

    @classmethod
    async def opened(cls, database: Database, keys: FileKeys) -> "World":
        """The world that the tables hold already."""
        return cls(await database.connect(DbRole.OWNER), await database.connect(DbRole.APP), database, keys)

    @classmethod
    async def build(cls, database: Database, keys: FileKeys) -> "World":
        world = await cls.opened(database, keys)
        await publish(world.owner, keys)
        await world._register_askers()
        for household, county, people in (
            (HOUSEHOLD, COUNTY, [HEAD, WIFE, SON, CHILD, DEAD]),
            (FAR_HOUSEHOLD, OTHER_COUNTY, [FAR]),
        ):
            await world._settle(household, county, people)
        return world

    async def close(self) -> None:
        await self.owner.close()
        await self.app.close()

    async def _register_askers(self) -> None:
        for bank in (BANK_A, BANK_B, BANK_C):
            await self.owner.execute(
                "INSERT INTO access.organisation VALUES ($1, $2, $2, 'BANK')", bank, f"银行{bank[-2:]}"
            )
        purposes = ["LOAN_APPLICATION", "POST_LOAN_REVIEW"]
        for name, bank, role, counties in (
            ("officer-a", BANK_A, "LOAN_OFFICER", [COUNTY]),
            ("risk-a", BANK_A, "BANK_RISK", [COUNTY]),
            ("officer-b", BANK_B, "LOAN_OFFICER", [COUNTY]),
            ("nowhere-a", BANK_A, "LOAN_OFFICER", []),
        ):
            await self.owner.execute(
                "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
                " max_subjects_per_day) VALUES ($1, $2, $3, $4, $5, '{}', 50)",
                name, bank, role, counties, purposes,
            )  # fmt: skip
        for account, role, person, counties, villages in (
            ("head", "RESIDENT", HEAD.person_id, [], []),
            ("wife", "RESIDENT", WIFE.person_id, [], []),
            ("child", "RESIDENT", CHILD.person_id, [], []),
            ("collector", "COLLECTOR", None, [COUNTY], ["533103001001"]),
            ("steward", "STEWARD", None, [COUNTY], []),
            ("regulator", "REGULATOR", None, [COUNTY], []),
        ):
            await self.owner.execute(
                "INSERT INTO auth.account (account_id, role, person_id, county_codes, village_codes)"
                " VALUES ($1, $2, $3, $4, $5)",
                account, role, person, counties, villages,
            )  # fmt: skip

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
                county, person.person_id, index, self.keys.index("name", normalise_name(person.name)),
                date.fromisoformat(f"{person.number[6:10]}-{person.number[10:12]}-{person.number[12:14]}"),
                "DECEASED" if person is DEAD else "ACTIVE", household,
            )  # fmt: skip
            for key in ALL_PARTS:
                if key not in HOUSEHOLD_PARTS and person is not DEAD and person is not CHILD:
                    for owner in (BANK_A, BANK_B, BANK_C) if key.startswith("bank.") else ("",):
                        await self.section(county, household, person.person_id, key, owner)
        for key in HOUSEHOLD_PARTS:
            await self.section(county, household, NOBODY, key)

    async def section(self, county: str, household: UUID, person: UUID, key: str, owner: str = "") -> None:
        category, form = key.split("/")
        body: dict[str, Any] = {"mark": canary(person, key, owner)}
        if form == "TOTAL":
            body |= {"amount": "1000.50"} if category == "bank.line" else {
                "balance": "2000.25", "loans": 2, "worstClass": str(1 + int(owner[-2:]) // 11)
            }  # fmt: skip
        text = json.dumps(body)
        await self.owner.execute(
            "INSERT INTO record.section (county, household_id, person_id, category, form, owner, body, source,"
            " folded_at, fold_version, digest) VALUES ($1, $2, $3, $4, $5, $6, $7, 's', now(), 3, $8)",
            county, household, person, category, form, owner, text, hashlib.sha256(text.encode()).digest(),
        )  # fmt: skip

    async def basis(
        self, person: Person, organisation: str = BANK_A, *, parts: list[str] | None = None, uses: int | None = 3,
        heightened: bool = True, purpose: str = "LOAN_APPLICATION", kind: str = "CASE", days: int = 30,
        start: datetime | None = None,
    ) -> UUID:  # fmt: skip
        """A basis in force, as a grant would leave it (kind CASE needs no consent record)."""
        basis, begins = uuid4(), start or datetime.now(UTC) - timedelta(minutes=1)
        await self.owner.execute(
            "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,"
            " heightened, effective_from, expires_at, max_uses)"
            " VALUES ($1, $2, 'test', $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            basis, kind, COUNTY, organisation, person.person_id, purpose, parts or ALL_PARTS, heightened, begins,
            begins + timedelta(days=days), uses,
        )  # fmt: skip
        if uses is not None:
            await self.owner.execute("INSERT INTO consent.quota (basis_id, max_uses) VALUES ($1, $2)", basis, uses)
        return basis

    async def end_basis(self, basis: UUID) -> None:
        await self.owner.execute("UPDATE consent.basis SET status = 'WITHDRAWN' WHERE basis_id = $1", basis)

    def wire(
        self, asker: str, person: Person | None = None, *, purpose: str = "LOAN_APPLICATION",
        parts: list[str] | None = None, name: str | None = None, person_id: UUID | None = None, key: str | None = None,
        token: str = "t1", others: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """One request as hub/flows/disclosure/disclose.py sends it."""
        wire: dict[str, Any] = {
            "asker": asker, "token": token, "actor": "officer Li", "purpose": purpose, "parts": parts or ALL_PARTS,
            "operation": hashlib.sha256(b"query").hexdigest(), "ev": str(uuid7()),
            "sealed": base64.b64encode(b"sealed").decode(), "retry_key": key, "others": others,
        }  # fmt: skip
        if person_id is not None:
            wire["person"] = str(person_id)
        if person is not None:
            wire["identity"] = [self.keys.index("identity", person.number).hex()]
            wire["names"] = [self.keys.index("name", normalise_name(name or person.name)).hex()]
        return wire

    async def disclose(self, *wires: dict[str, Any], by: asyncpg.Connection | None = None) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await (by or self.app).fetch(
            "SELECT * FROM access.disclose($1::jsonb)", json.dumps(wires)
        )
        return rows

    async def ask(self, asker: str, person: Person | None = None, **options: Any) -> "Reply":
        wire = self.wire(asker, person, **options)
        return Reply((await self.disclose(wire))[0], UUID(wire["ev"]))

    async def pending(self, ev: UUID) -> asyncpg.Record:
        return await self.owner.fetchrow("SELECT * FROM audit.pending WHERE ev = $1", ev)

    async def uses(self, basis: UUID) -> int:
        return int(await self.owner.fetchval("SELECT uses FROM consent.quota WHERE basis_id = $1", basis))


class Reply:
    """One answer, easier to read."""

    def __init__(self, row: asyncpg.Record, ev: UUID) -> None:
        self.row = row
        self.ev = ev
        self.refusal = row["refusal"]
        self.person = row["person_id"]
        self.basis = row["basis_id"]
        self.others = list(row["other_adults"])
        self.not_shown = row["adults_not_shown"]
        self.withheld: dict[str, str] = dict(line.split("=") for line in row["withheld"])
        self.absent: dict[str, str] = dict(line.split("=") for line in row["absent"])
        self.sections = list(
            zip(
                row["section_persons"] or [], row["section_parts"] or [], row["section_owners"] or [],
                row["section_bodies"] or [], strict=True,
            )
        )  # fmt: skip
        self.text = repr(dict(row))

    @property
    def parts(self) -> set[str]:
        return {part for _, part, _, _ in self.sections}

    def all_withheld(self, reason: str) -> bool:
        return set(self.withheld.values()) == {reason} and not self.sections and self.person is None

    def content(self) -> str:
        """Everything but the instant."""
        return repr({name: value for name, value in self.row.items() if name != "as_of"})
