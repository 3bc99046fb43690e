"""With the audit log unavailable no query answers and no write succeeds; afterwards everything works, without a gap."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.access.clients import Client, Organisation
from hub.audit.export import export_bundle
from hub.audit.history import check_complete, count_accesses, list_accesses
from hub.audit.leaf import Leaf
from hub.audit.receipts import Receipts
from hub.audit.verify import verify_bundle
from hub.connectors.registry import connector_for
from hub.connectors.sources import kind_of
from hub.core.clock import system_clock
from hub.core.errors import AuditError
from hub.core.names import Purpose, Role
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.people.open_account import Account, open_account
from hub.flows.people.register_client import register_client
from hub.flows.stewards.export_quarantine import export
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.store.database import Database, DbRole
from hub.store.server import EmbeddedServer
from tests.auth.clients import jwks, new_key
from tests.connectors.tax_agency import TaxBureau, sample_page, tax_bureau
from tests.done.faults import FAULTS, Fault, guard_unwritable, outbox_renamed
from tests.done.opened import tables
from tests.done.queries import CONSENTS, GRANT, HISTORY, LOG, OWN_RECORD, PROFILE, REFUSE, REQUEST, REVIEWS, WITHDRAW
from tests.done.served import (
    COUNTY,
    COUSIN,
    HEAD,
    NEIGHBOUR,
    SON,
    WIFE,
    Served,
    profile_input,
    request_input,
    served_hub,
)

UNAVAILABLE = {"AUDIT_OUTBOX", "AUDIT_UNAVAILABLE", "AUDIT_TIMEOUT", "AUDIT_DISK", "AUDIT_GUARD"}
"""The codes with which everything is refused."""

UNREADABLE = UNAVAILABLE | {"BUSY", "STORE"}
"""For queries also these: where the outbox is locked or gone, the database function stops before it comes to record."""

BANK = Organisation("402739000099", "新银行", "New Bank", "BANK")
STATE = "query State($id: ID!) { consentRequest(id: $id) { ... on ConsentRequestState { state } } }"


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


@pytest.fixture
async def bureau(tmp_path: Path) -> AsyncIterator[TaxBureau]:
    """An agency with rows to pull, two of which are held back."""
    folder = tmp_path / "tax"
    folder.mkdir()
    async with tax_bureau(folder, lambda query: sample_page(2 if "cursor" in query else 1)) as running:
        yield running


@dataclass
class Work:
    """Every write of the hub, and every query; the same before, during and after an outage."""

    served: Served
    database: Database
    bureau: TaxBureau
    asked: dict[str, str] = field(default_factory=dict)
    consent: str = ""
    exported: list[str] = field(default_factory=list)

    async def prepare(self) -> None:
        """Consents and requests for the writes to work on."""
        await self.served.grant(HEAD)
        self.consent = await self.served.grant(WIFE)
        await self.served.owner.execute("UPDATE consent.basis SET max_uses = NULL")
        # The export of a source that was never pulled would be refused for that reason.
        await self.served.owner.execute("INSERT INTO ingest.source_state (source, kind) VALUES ('tax', 'tax-rest')")
        for person in (SON, NEIGHBOUR):
            self.asked[person.account] = await self.served.request(person)

    def changes(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The consent changes over HTTP: who, what, with which input."""
        return [
            ("risk-a", REQUEST, request_input(COUSIN)),
            ("son", GRANT, {"requestId": self.asked["son"], "heightenedNotice": True}),
            ("neighbour", REFUSE, {"requestId": self.asked["neighbour"]}),
            ("wife", WITHDRAW, {"consentId": self.consent}),
        ]

    async def change(self, who: str, query: str, given: dict[str, Any]) -> httpx.Response:
        return await self.served.ask(who, query, {"input": {"idempotencyKey": uuid.uuid4().hex} | given})

    def queries(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The queries over HTTP."""
        return [
            ("risk-a", PROFILE, profile_input(HEAD)),
            ("risk-a", STATE, {"id": self.asked["son"]}),
            ("head", OWN_RECORD, {}),
            ("head", HISTORY, {"first": 10}),
            ("head", CONSENTS, {}),
            ("regulator", LOG, {"first": 10}),
            ("steward", REVIEWS, {"first": 10}),
        ]

    @asynccontextmanager
    async def receipts(self) -> AsyncIterator[Receipts]:
        """Receipts of the process that serves, as its commands have them."""
        async with Receipts(self.database, self.served.hub.sequencer, role=DbRole.INGEST, connections=2) as receipts:
            yield receipts

    async def pull(self) -> dict[str, Any]:
        source = self.bureau.source()
        chosen = [SourceToPull(source.name, kind_of(source), source.agreement_no, connector_for(source))]
        async with self.receipts() as receipts:
            return await pull(self.database, self.served.keys, receipts, chosen, system_clock, lambda *_: None)

    async def show(self) -> list[str]:
        query = StewardQuery("steward", "H", "test")
        async with self.receipts() as receipts:
            return await show_households(self.database, self.served.keys, receipts, query, [HEAD.number], system_clock)

    async def export(self) -> int:
        async with self.receipts() as receipts:
            desk = StewardDesk(self.database, self.served.keys, receipts)
            return await export(desk, StewardAct("steward", "case 1", "test", {}), "tax", None, self._take)

    def _take(self, rows: bytes, _: bytes | None) -> None:
        self.exported += rows.decode().splitlines()

    async def register(self) -> None:
        client = Client(
            "new-1", BANK.organisation_id, Role.LOAN_OFFICER, (COUNTY,), (Purpose.LOAN_APPLICATION,),
            jwks(new_key("EdDSA")), 10,
        )  # fmt: skip
        conn = await self.database.connect(DbRole.OWNER)
        try:
            async with self.receipts() as receipts:
                await register_client(conn, receipts, client, operator="root", organisation=BANK)
        finally:
            await conn.close()

    async def open(self) -> None:
        conn = await self.database.connect(DbRole.OWNER)
        try:
            async with self.receipts() as receipts:
                await open_account(conn, receipts, Account("auditor-1", Role.AUDITOR), operator="root")
        finally:
            await conn.close()

    def commands(self) -> dict[str, Awaitable[Any]]:
        """The writes and disclosures of commands."""
        return {
            "pull": self.pull(), "show": self.show(), "export": self.export(), "register": self.register(),
            "open": self.open(),
        }  # fmt: skip


def refused(served: Served, reply: httpx.Response, what: str) -> str:
    """Checks that a reply holds nothing but a clear error; its code."""
    body = reply.json()
    assert reply.status_code == 200, (what, reply.text)
    assert set(body) == {"data", "errors"}, (what, reply.text)
    assert body["data"] is None, what
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
    assert served.marks.found(reply.content) == set()
    for person in (HEAD, WIFE, SON, NEIGHBOUR, COUSIN):
        assert person.number not in reply.text
        assert person.name not in reply.text
    return str(error["extensions"]["reason"])


async def nothing_works(work: Work) -> None:
    """No write succeeds and leaves a trace, no query answers."""
    served = work.served
    before = await state(served)
    commands = work.commands()
    results = await asyncio.gather(
        *(work.change(*change) for change in work.changes()), *commands.values(), return_exceptions=True
    )
    replies, ended = results[:4], results[4:]
    assert await state(served) == before
    for (who, query, _), reply in zip(work.changes(), replies, strict=True):
        assert isinstance(reply, httpx.Response), reply
        assert refused(served, reply, f"{who} {query[:30]}") in UNAVAILABLE
    for command, result in zip(commands, ended, strict=True):
        assert isinstance(result, AuditError), (command, result)
        assert result.code in UNAVAILABLE, command
        assert HEAD.number not in str(result)
    assert work.exported == []
    answers = await asyncio.gather(*(served.ask(*query) for query in work.queries()))
    for (who, query, _), reply in zip(work.queries(), answers, strict=True):
        assert refused(served, reply, f"{who} {query[:30]}") in UNREADABLE


async def state(served: Served) -> dict[str, list[str]]:
    """Everything but the log itself and the counts of who was asked about."""
    whole = await tables(
        served.owner,
        leave_out=(
            "audit.pending",
            "audit.gone",
            "audit.entry",
            "audit.elsewhere",
            "auth.used_assertion",
            "access.shadow",  # how far the shadow has read the log
        ),
    )
    return {name: rows for name, rows in whole.items() if not name.startswith(("audit.", "watched."))}


async def everything_works(work: Work) -> None:
    """The same writes and queries, each with its entry."""
    served = work.served
    async with asyncio.timeout(20):
        while not served.marks.found((await served.profile("risk-a", HEAD)).content):
            await asyncio.sleep(0.1)
    for change in work.changes():
        reply = await work.change(*change)
        assert "errors" not in reply.json(), reply.text
        assert reply.json()["extensions"]["receipt"]
    for query in work.queries():
        reply = await served.ask(*query)
        assert "errors" not in reply.json(), reply.text
    assert (await work.pull())["sources"]["tax"]["fetched"] > 0
    assert len(await work.show()) == 1
    assert await work.export() == len(work.exported) == 2
    await work.register()
    await work.open()


async def whole_log(work: Work, folder: Path) -> list[Leaf]:
    """The entries of the log, after it was exported and verified, and everybody's list of accesses was complete."""
    conn = await work.database.connect(DbRole.AUDITOR)
    try:
        await export_bundle(conn, folder)
    finally:
        await conn.close()
    rows = await work.served.owner.fetch("SELECT seq, entry FROM audit.entry ORDER BY seq")
    assert verify_bundle(folder).size == len(rows)
    assert [row["seq"] for row in rows] == list(range(len(rows)))
    for person in (HEAD, WIFE, SON):
        accesses = await list_accesses(work.served.owner, work.served.keys, person.person_id, limit=500)
        check_complete(accesses, await count_accesses(work.served.owner, person.person_id))
    return [Leaf.parse(row["entry"]) for row in rows]


QUICK = (outbox_renamed, guard_unwritable)
"""One fault of the database and one of the guard file; the others are tried among the long tests."""


@pytest.mark.parametrize(
    "fault",
    [pytest.param(fault, marks=[] if fault in QUICK else [pytest.mark.long]) for fault in FAULTS],
    ids=lambda fault: fault.__name__,
)
async def test_no_answer_and_no_change_without_the_log(
    served: Served, bureau: TaxBureau, database: Database, server: EmbeddedServer, tmp_path: Path, fault: Fault
) -> None:
    work = Work(served, database, bureau)
    await work.prepare()
    for who in ("risk-a", "regulator", "steward", "head", "son", "wife", "neighbour"):
        await served.token(who)
    outage = fault(served, database, server)
    try:
        recorded = await served.owner.fetchval("SELECT count(*) FROM audit.entry")
        await anext(outage)
        await nothing_works(work)
        await anext(outage)
        await everything_works(work)
        leaves = await whole_log(work, tmp_path / "bundle")
    finally:
        await outage.aclose()  # type: ignore[attr-defined]
    made = [leaf.what for leaf in leaves[recorded:]]
    once = (
        "consent:client:requested", "consent:resident:granted", "consent:resident:refused",
        "consent:resident:withdrawn", "client:operator:changed", "account:operator:changed", "record:hub:folded",
        "quarantine:steward:exported", "household:steward:shown",
    )  # fmt: skip
    assert {what: made.count(what) for what in once} == dict.fromkeys(once, 1)
