"""A hub that loads rows, answers random questions over HTTP, and has its past answers made again."""

import random
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from graphql import GraphQLObjectType, get_named_type, is_leaf_type

from hub.access.publish import publish
from hub.app import open_hub
from hub.audit.proof import Receipt
from hub.core.clock import system_clock
from hub.core.names import Category, LinkVerdict
from hub.core.rows import CheckedRow, RowKind
from hub.flows.readings.replay_answer import ReplayQuery, replay_answer
from hub.flows.stewards.review_links import LinkChoice, decide_link
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.main import listen
from hub.schema.replay import run_again
from hub.schema.schema import build_schema
from hub.settings import load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.done.queries import GRANT
from tests.done.served import CLIENTS, Person, Served, listening
from tests.records import world as rows
from tests.records.world import World

NAMES = ("刀岩保", "思月", "岩罕", "玉香", "刀建国", "李强", "岩温", "玉波")
PEOPLE = [
    Person(f"person-{n}", rows.number(f"19{60 + 3 * n}0{1 + n}12", 301 + n), name) for n, name in enumerate(NAMES)
]
CORRECTED = [
    replace(person, number=rows.number(f"19{60 + 3 * n}0{1 + n}12", 601 + n)) for n, person in enumerate(PEOPLE)
]
"""The same people under the numbers that the police may correct theirs to."""

HOMES = ("H1", "H2", "H3", "H4")
STAFF = (("steward", "STEWARD", "DATA_QUALITY"), ("township", "TOWNSHIP", "DATA_COLLECTION"))
_DEPTH = 5
_DRESSES_MAX = 24
_COINS = "t: __typename @include(if: $a) u: __typename @skip(if: $b)"


@dataclass(frozen=True)
class Kept:
    """What a caller was given: the bytes of ``data`` and the receipt."""

    data: bytes
    receipt: Receipt
    kind: str


class PastAnswers:
    """The running hub with the rows of its agencies; everything random comes from one seed."""

    def __init__(self, served: Served, world: World, home: Path, seed: int) -> None:
        self.served = served
        self.world = world
        self.home = home
        self.random = random.Random(seed)
        self.versions: dict[str, int] = {}
        self.letters: dict[int, str] = {}
        self.dresses = 0
        self.events: list[str] = []
        self.kept: list[Kept] = []
        self.pseudonyms: list[tuple[str, str]] = []

    # What the agencies deliver ------------------------------------------------------------------------------------

    def version(self, key: str) -> int:
        self.versions[key] = self.versions.get(key, 0) + 1
        return self.versions[key]

    async def begin(self) -> None:
        """The first load, and an account for everybody in it."""
        civil = [rows.household(no, group_no=no[1:].rjust(2, "0")) for no in HOMES]
        civil.append(rows.household("H9", village=rows.OTHER_VILLAGE, township_name="陇把镇", village_name="吕良村"))
        for n, person in enumerate(PEOPLE):
            civil.append(self.member(n, person.number))
        civil += [rows.relief("J1", "H1"), rows.relief("J2", "H2", ends="2027-01-01")]
        facts: dict[str, list[CheckedRow]] = {"civil": civil, "tax": [], "social": [], "bank": [], "clinic": []}
        for n, person in enumerate(PEOPLE):
            facts["tax"] += [self.grade(n), self.arrears(n)]
            facts["social"].append(rows.insurance(f"S{n}|390", person.number, person.name, "2026-09"))
            facts["clinic"] += [rows.bill(f"K|{n}", person.name, person.number), rows.bill(f"L|{n}", person.name)]
            facts["bank"] += [self.consent(n), self.loan(n)]
        await self.world.pull(**facts)
        for person in PEOPLE:
            found = await self.world.person_id(person.number)
            await self.served.owner.execute(
                "INSERT INTO auth.account (account_id, role, person_id, county_codes) VALUES ($1, 'RESIDENT', $2, $3)",
                person.account, found, ["533103"],
            )  # fmt: skip

    def member(self, n: int, number: str, **more: Any) -> CheckedRow:
        name = more.pop("name", PEOPLE[n].name)
        return rows.member(f"C{n}", HOMES[n // 2], name, number, version=self.version(f"C{n}"), **more)

    def grade(self, n: int) -> CheckedRow:
        self.letters[n] = letter = self.random.choice("BCDM")
        key = f"t{n}|XY|2025"
        return rows.grade(key, PEOPLE[n].number, PEOPLE[n].name, version=self.version(key), letter=letter)

    def arrears(self, n: int, cleared: date | None = None, no: str = "1") -> CheckedRow:
        key, cleared = f"t{n}|QS|{no}", cleared or self.random.choice([None, date(2026, 5, 1)])
        value = {"arrears_no": no, "arrears_amount": f"{self.random.randrange(9000)}.00", "notice_date": "2026-01-10"}
        return rows.a_row(
            RowKind.FACT, key, self.version(key), value, category=Category.TAX_ARREARS, id_number=PEOPLE[n].number,
            name=PEOPLE[n].name, valid_from=date(2026, 2, 1), valid_to=cleared, adverse=True,
        )  # fmt: skip

    def consent(self, n: int, withdrawn_on: str | None = None) -> CheckedRow:
        value = {"granted_on": "2025-03-01", "expires_on": "2028-02-29", "withdrawn_on": withdrawn_on}
        key = f"consent|{uuid.UUID(int=n)}"
        more = {"id_number": PEOPLE[n].number, "name": PEOPLE[n].name}
        return rows.a_row(RowKind.CONSENT, key, self.version(key), value, **more)

    def loan(self, n: int) -> CheckedRow:
        bank = rows.BANK if n % 2 else "402739000022"
        version = self.version(f"loan{n}")
        value = {"balance": f"{self.random.randrange(15000)}.50", "five_class": self.random.choice("123")}
        made = rows.loan(f"R{n}", PEOPLE[n].number, version=version, bank=bank, value=value)
        return replace(made, consent_id=str(uuid.UUID(int=n)))

    async def change(self) -> None:
        """One more run with a few random changes."""
        for _ in range(self.random.randint(2, 4)):
            await self.random.choice(self._changes())(self.random.randrange(len(PEOPLE)))

    def _changes(self) -> list[Callable[[int], Any]]:
        return [
            self._new_facts, self._new_facts, self._renamed, self._withdrawn, self._split, self._merged, self._moved,
            self._died, self._corrected, self._revoked, self._village, self._relief, self._decided, self._decided,
        ]  # fmt: skip

    async def _new_facts(self, n: int) -> None:
        await self.world.pull(tax=[self.grade(n), self.arrears(n)], bank=[self.loan(n)])

    async def _renamed(self, n: int) -> None:
        later = self.world.now.isoformat()
        await self.world.pull(civil=[self.member(n, PEOPLE[n].number, name=f"{NAMES[n]}明", changed_at=later)])

    async def _withdrawn(self, n: int) -> None:
        await self.world.pull(bank=[self.consent(n, self.random.choice([None, "2026-10-20"]))])

    async def _event(self, kind: str, *members: dict[str, Any], **more: Any) -> None:
        no = f"E{len(self.events)}"
        self.events.append(no)
        await self.world.pull(civil=[rows.event(no, kind, "2026-10-19", *members, **more)])

    async def _split(self, n: int) -> None:
        away = self.random.choice([home for home in HOMES if home != HOMES[n // 2]])
        await self._event("01", {"member_no": f"C{n}"}, from_household=HOMES[n // 2], to_household=away)

    async def _merged(self, n: int) -> None:
        if self.random.random() < 0.3:
            away = self.random.choice([home for home in HOMES if home != HOMES[n // 2]])
            await self._event("02", {"member_no": f"C{n}"}, from_household=HOMES[n // 2], to_household=away)

    async def _moved(self, n: int) -> None:
        to = {"to_village_code": rows.OTHER_VILLAGE, "to_group_no": "09"}
        await self._event("03", from_household=HOMES[n // 2], **to)

    async def _died(self, n: int) -> None:
        if self.random.random() < 0.3:
            await self._event("04", {"member_no": f"C{n}"})

    async def _corrected(self, n: int) -> None:
        numbers = {"old_id_number": PEOPLE[n].number, "new_id_number": CORRECTED[n].number}
        await self.world.pull(tax=[rows.grade(f"u{n}|XY|2024", CORRECTED[n].number, PEOPLE[n].name)])
        await self._event("05", {"member_no": f"C{n}", **numbers})

    async def _revoked(self, _: int) -> None:
        if self.events:
            no = self.random.choice(self.events)
            await self.world.pull(civil=[rows.tombstone(f"event|{no}", RowKind.EVENT, 2)])

    async def _village(self, n: int) -> None:
        no, later = HOMES[n // 2], self.world.now.isoformat()
        version = self.version(no) + 1
        await self.world.pull(civil=[rows.household(no, version=version, group_no=f"{n:02}", changed_at=later)])

    async def _relief(self, n: int) -> None:
        await self.world.pull(civil=[rows.relief(f"J{self.version('relief') + 9}", HOMES[n // 2], ends="2026-12-31")])

    async def _decided(self, n: int) -> None:
        """A reviewer links a bill without number, to the right person or a wrong one, or takes a link back."""
        row = await self.world.connection.fetchrow(
            """SELECT o.row_id, o.link, (SELECT count(*)::int FROM record.link_decision d
                                         WHERE d.source = o.source AND d.source_key = o.source_key) AS seen
               FROM record.observation o WHERE o.source_key = $1 AND o.recorded_to = 'infinity'""",
            f"L|{n}",
        )
        if row is None:
            return
        member_no = f"C{self.random.randrange(len(PEOPLE))}"
        choice = LinkChoice(row["row_id"], LinkVerdict.LINK, row["seen"], member_no)
        if row["link"] == "CONFIRMED" and self.random.random() < 0.5:
            choice = LinkChoice(row["row_id"], LinkVerdict.UNLINK, row["seen"])
        await self.decide(choice)

    async def decide(self, choice: LinkChoice) -> None:
        """A reviewer's decision, a minute after whatever came last."""
        self.world.now += timedelta(minutes=1)
        desk = StewardDesk(
            self.served.hub.database, self.served.keys, self.served.hub.ports.consents.receipts, lambda: self.world.now
        )
        await decide_link(desk, StewardAct("steward", "test", "hub links review decide", {}), choice)

    # What is asked ------------------------------------------------------------------------------------------------

    async def ask(self) -> None:
        """One random question, kept with its receipt."""
        await self.random.choice([self._bank, self._bank, self._bank, self._own, self._staff, self._show])()

    async def consented(self) -> None:
        """Somebody agrees to something, or takes it back."""
        client, person = self.random.choice(list(CLIENTS)), self.random.choice(PEOPLE)
        purpose = self.random.choice(["LOAN_APPLICATION", "CARD_APPLICATION", "POST_LOAN_REVIEW"])
        open_parts = await self.served.owner.fetch(
            """SELECT d.part FROM access.decision d JOIN access.policy_set s ON s.digest = d.digest
               WHERE s.retired_at IS NULL AND d.role = $1 AND d.purpose = $2 AND d.closed IS NULL AND d.needs_basis
               ORDER BY d.part""",
            CLIENTS[client][1],
            purpose,
        )
        some = [row["part"] for row in open_parts if self.random.random() < 0.8]
        if not some:
            return
        parts = [dict(zip(("category", "form"), part.split("/"), strict=True)) for part in some]
        request = await self.served.request(person, client, parts=parts, purpose=purpose)
        given = {"requestId": request, "heightenedNotice": True, "idempotencyKey": uuid.uuid4().hex}
        reply = (await self.served.ask(person.account, GRANT, {"input": given})).json()
        consent = (reply.get("data") or {}).get("grantConsent", {}).get("consentId")
        if consent and self.random.random() < 0.2:
            await self.served.withdraw(person, consent)

    async def _bank(self) -> None:
        client = self.random.choice(list(CLIENTS))
        known = [pseudonym for who, pseudonym in self.pseudonyms if who == client]
        person = self.random.choice([*PEOPLE, *CORRECTED])
        borrower: dict[str, Any] = {"identity": {"idNumber": person.number, "name": person.name}}
        if known and self.random.random() < 0.3:
            borrower = {"borrowerId": self.random.choice(known)}
        purpose = self.random.choice(["LOAN_APPLICATION", "LOAN_APPLICATION", "CARD_APPLICATION", "POST_LOAN_REVIEW"])
        document = {"borrower": borrower, "purpose": purpose, "officer": "officer.li"}
        found = await self._profile(client, document, "bank")
        if found is not None:
            self.pseudonyms.append((client, found))

    async def _staff(self) -> None:
        account, _, purpose = self.random.choice(STAFF)
        person = self.random.choice(PEOPLE)
        identity = {"idNumber": person.number, "name": person.name}
        await self._profile(account, {"borrower": {"identity": identity}, "purpose": purpose}, "staff")

    async def _profile(self, who: str, asked: dict[str, Any], kind: str) -> str | None:
        query = (
            "query Q($input: BorrowerProfileInput!, $a: Boolean!, $b: Boolean!) { borrowerProfile(input: $input) {"
            f" ... on BorrowerProfile {{ id: borrowerId {self.selection('BorrowerProfile')} }} {_COINS} }} }}"
        )
        data = await self.keep(who, query, {"input": asked}, kind)
        found: str | None = data["borrowerProfile"].get("id")
        return found

    async def _own(self) -> None:
        query = (
            "query Q($a: Boolean!, $b: Boolean!) { mine: household {"
            f" ... on OwnRecord {{ {self.selection('OwnRecord')} asOf }} {_COINS} }} }}"
        )
        await self.keep(self.random.choice(PEOPLE).account, query, {}, "own")

    async def keep(self, who: str, query: str, variables: dict[str, Any], kind: str) -> dict[str, Any]:
        """Ask and keep the answer with its receipt."""
        coins = {"a": self.random.random() < 0.5, "b": self.random.random() < 0.5} if "$a" in query else {}
        reply = await self.served.ask(who, query, variables | coins)
        body = reply.json()
        assert "errors" not in body, reply.text
        if "extensions" in body:
            content = reply.content
            data = content[len(b'{"data":') : content.index(b',"extensions":')]
            self.kept.append(Kept(data, Receipt.parse(body["extensions"]["receipt"]["proof"]), kind))
        answer: dict[str, Any] = body["data"]
        return answer

    async def _show(self) -> None:
        """A steward compares a record with its sources, today's or an earlier day's."""
        person = self.random.choice([*PEOPLE, *CORRECTED])
        day = self.random.choice([None, None, date(2026, 10, 18), date(2020, 1, 1)])
        instant = self.random.choice([None, None, self.world.now.replace(day=20, hour=9)])
        query = StewardQuery("steward", "H", "comparison", day, instant)
        receipts = self.served.hub.ports.consents.receipts
        (line,) = await show_households(
            self.served.hub.database, self.served.keys, receipts, query, [person.number], system_clock
        )
        event = await self.served.owner.fetchval(
            "SELECT ev FROM audit.entry WHERE position('household:steward:shown'::bytea IN entry) > 0"
            " ORDER BY seq DESC LIMIT 1"
        )
        self.kept.append(Kept(line.encode(), await receipts.wait(event, 10), "show"))

    def selection(self, kind: str, depth: int = _DEPTH) -> str:
        """A random selection on a type of the schema: aliases, fragments, conditions."""
        declared = build_schema().graphql.type_map[kind]
        assert isinstance(declared, GraphQLObjectType)
        lines = ["__typename"]
        if depth == _DEPTH:
            self.dresses = _DRESSES_MAX
        for name, field in declared.fields.items():
            inner = get_named_type(field.type)
            if self.random.random() < 0.25:
                continue
            alias = f"x{kind}{name}: " if self._dressed(0.08) else ""
            when = self.random.choice([" @include(if: $a)", " @skip(if: $b)"]) if self._dressed(0.06) else ""
            below = ""
            if not is_leaf_type(inner):
                if depth == 0:
                    continue
                below = f" {{ {self.selection(inner.name, depth - 1)} }}"
            line = f"{alias}{name}{when}{below}"
            lines.append(f"... on {kind} {{ {line} }}" if self.random.random() < 0.1 else line)
        return " ".join(lines)

    def _dressed(self, chance: float) -> bool:
        """Whether a field gets an alias or a condition; an operation may have some dozens."""
        self.dresses -= 1 if (wanted := self.random.random() < chance and self.dresses > 0) else 0
        return wanted

    async def replay(self, kept: Kept, *, now: Any = system_clock) -> bytes:
        return await replay_answer(
            self.served.hub.database, self.served.keys, self.served.hub.ports.consents.receipts,
            ReplayQuery("auditor", "test"), kept.receipt, run_again, now,
        )  # fmt: skip


@asynccontextmanager
async def past_answers(database: Database, home: Path, seed: int) -> AsyncIterator[PastAnswers]:
    """Everything running; the hub listens on a port of its own."""
    bound = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{bound.getsockname()[1]}"
    settings = load({"HUB_HOME": str(home), "HUB_PUBLIC_URL": address})
    keys = FileKeys(settings.keys_folder)
    owner = await database.connect(DbRole.OWNER)
    ingest = await database.connect(DbRole.INGEST)
    try:
        await publish(owner, keys)
        async with open_hub(settings, database) as hub, listening(hub, bound):
            served = Served(hub, settings, owner)
            await served.register()
            await owner.executemany(
                "INSERT INTO auth.account (account_id, role, county_codes) VALUES ($1, $2, $3)",
                [(account, role, ["533103"]) for account, role, _ in STAFF],
            )
            async with served.http:
                made = PastAnswers(served, World(ingest, keys), home, seed)
                await made.begin()
                yield made
    finally:
        bound.close()
        await ingest.close()
        await owner.close()
