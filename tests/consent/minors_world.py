"""People of all ages in the small world: a teenager, a child, two guardians, and somebody who may ask about minors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID, uuid4

from hub.access.parts import part_of
from hub.consent.minors import Party
from hub.core.clock import day_of, system_clock
from hub.core.disclosure import Asker, SubjectByNumber
from hub.core.names import Purpose
from hub.core.text import normalise_name
from hub.flows.consent.agree_for_minor import ConsentAgreed, ConsentAgreement, answer_request
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.consent.grant_consent import ConsentGrant, ConsentGranted
from hub.flows.consent.register_guardian import decide_guardian, register_guardian, sought
from hub.flows.consent.request_consent import ConsentRequest, request_consent
from hub.flows.people.change_account import Holder
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.records.intake.payloads import identity_context, seal_identity
from hub.records.people.guardians import Ground, Registration
from hub.store.database import Database
from hub.store.keys import FileKeys
from tests.attacks.consent_world import OPERATION, me, open_desk
from tests.disclosure.world import BANK_C, COUNTY, HEAD, HOUSEHOLD, WIFE, Person, World

ASKER = "care"
"""A system that a rule lets see something of minors, on consent; in the repository no such rule is open yet."""

PARTS = ("social.insurance/VALUE", "clinic.arrears/BAND")

TEEN = Person(uuid4(), "533103201006061111", "岩亮")
KID = Person(uuid4(), "533103201707072222", "玉香")
AUNT = Person(uuid4(), "533103197508083333", "玉波")


def years_ago(years: int, *, days: int = 0) -> date:
    """The birth date of somebody who completes so many years today, or so many days from now."""
    day = day_of(system_clock()) + timedelta(days=days)
    return day.replace(year=day.year - years) if (day.month, day.day) != (2, 29) else date(day.year - years, 3, 1)


class Minors:
    """The world, its desks, and short words for what people do in it."""

    def __init__(self, world: World, desk: ConsentDesk) -> None:
        self.world = world
        self.desk = desk
        self.stewards = StewardDesk(world.database, world.keys, desk.receipts)

    async def settle(self) -> None:
        owner = self.world.owner
        for account, person, born in (
            ("teen", TEEN, years_ago(16)),
            ("kid", KID, years_ago(9)),
            ("aunt", AUNT, years_ago(50)),
        ):
            await self.come(account, person, born)
        await owner.execute(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
            " max_subjects_per_day) VALUES ($1, $2, 'INSURER', $3, '{BENEFIT_ELIGIBILITY}', '{}', 500)",
            ASKER, BANK_C, [COUNTY],
        )  # fmt: skip
        for part in (*PARTS, "identity/VALUE", "roster/VALUE"):
            await owner.execute(
                "INSERT INTO access.decision SELECT digest, 'INSURER', 'BENEFIT_ELIGIBILITY', $1, NULL, true, false,"
                " true, false, $2 FROM access.policy_set WHERE retired_at IS NULL"
                " ON CONFLICT (digest, role, purpose, part) DO UPDATE SET closed = NULL, needs_basis = true,"
                " needs_heightened_notice = false, needs_second_factor = false, needs_adult = excluded.needs_adult",
                part, part == "identity/VALUE",
            )  # fmt: skip

    async def come(self, account: str, person: Person, born: date) -> None:
        """Somebody of the household with an account, and values that are his alone."""
        owner, keys = self.world.owner, self.world.keys
        index = keys.index("identity", person.number)
        await owner.execute("INSERT INTO record.directory VALUES ($1, $2, $3)", index, person.person_id, COUNTY)
        await owner.execute(
            "INSERT INTO record.person (county, person_id, identity_index, first_index, name_index, birth_date,"
            " household_id, sealed_identity) VALUES ($1, $2, $3, $3, $4, $5, $6, $7)",
            COUNTY, person.person_id, index, keys.index("name", normalise_name(person.name)), born, HOUSEHOLD,
            seal_identity(keys, person.name, person.number, identity_context(person.person_id, "")),
        )  # fmt: skip
        for part in PARTS:
            await self.world.section(COUNTY, HOUSEHOLD, person.person_id, part)
        await owner.execute(
            "INSERT INTO auth.account (account_id, role, person_id) VALUES ($1, 'RESIDENT', $2)",
            account, person.person_id,
        )  # fmt: skip

    async def newcomer(self, years: int) -> tuple[str, Person]:
        """Another one, of so many years, and the account."""
        person = Person(uuid4(), f"533103{uuid4().int % 10**12:012}", "岩新")
        account = f"new-{person.number}"
        await self.come(account, person, years_ago(years))
        return account, person

    async def guard(
        self, ward: Person, guardian: Person, *, until: date | None = None, approve: bool = True, since: int = 30,
        by: str = "steward",
    ) -> UUID:  # fmt: skip
        """A guardianship as two stewards register it."""
        keys = self.world.keys
        registration = Registration(
            sought(keys, Holder(ward.number, ward.name)), sought(keys, Holder(guardian.number, guardian.name)),
            Ground.PARENT, "民政-2026-17", bytes(32), day_of(system_clock()) - timedelta(days=since), until,
        )  # fmt: skip
        made, _ = await register_guardian(self.stewards, act(by), registration)
        if approve:
            assert (await decide_guardian(self.stewards, act("other-steward"), made, yes=True))[0] == "IN_FORCE"
        return made

    async def asked(self, person: Person, parts: tuple[str, ...] = PARTS, client: str = ASKER) -> UUID:
        purpose = Purpose.BENEFIT_ELIGIBILITY if client == ASKER else Purpose.LOAN_APPLICATION
        wanted = tuple(part_of(key) for key in parts)
        request = ConsentRequest(
            Asker(client, "t1", "Li"), purpose, SubjectByNumber(person.number, person.name), wanted, OPERATION
        )
        return (await request_consent(self.desk, request))[0].request_id

    async def agree(
        self, account: str, request: UUID, ward: Person | None = None, parts: tuple[str, ...] | None = None,
        *, child_notice: bool = True,
    ) -> ConsentGranted | ConsentAgreed:  # fmt: skip
        grant = ConsentGrant(me(account), request, OPERATION, parts)
        agreement = ConsentAgreement(grant, ward.person_id if ward else None, child_notice)
        return (await answer_request(self.desk, agreement))[0]

    async def consent(self, person: Person, *yes: tuple[str, Person | None]) -> UUID:
        """A consent to which all of these agreed, the last one completing it."""
        request = await self.asked(person)
        for account, ward in yes:
            made = await self.agree(account, request, ward)
        assert isinstance(made, ConsentGranted)
        return made.consent_id

    async def born(self, person: Person, day: date) -> None:
        await self.world.owner.execute(
            "UPDATE record.person SET birth_date = $2 WHERE person_id = $1", person.person_id, day
        )

    async def shows(self, person: Person) -> set[str]:
        """The parts that the asker is shown of somebody; no canary beside them."""
        reply = await self.world.ask(ASKER, person, purpose="BENEFIT_ELIGIBILITY", parts=list(PARTS))
        assert reply.parts or "CANARY" not in reply.text
        return reply.parts

    async def standing(self, consent: UUID) -> str:
        return str(await self.world.owner.fetchval("SELECT standing FROM consent.standing($1, now())", consent))


def act(steward: str) -> StewardAct:
    return StewardAct(steward, "case 7", "hub guardian", {})


@asynccontextmanager
async def minors_world(database: Database, folder: Path) -> AsyncIterator[Minors]:
    world = await World.build(database, FileKeys(folder / "keys"))
    async with open_desk(world, folder) as desk:
        minors = Minors(world, desk)
        await minors.settle()
        yield minors
    await world.close()


__all__ = ["AUNT", "HEAD", "KID", "PARTS", "TEEN", "WIFE", "Minors", "Party", "minors_world", "years_ago"]
