"""A log of one test: its sequencer, its receipts, and a hand that writes events into the outbox."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer, Step
from hub.core.errors import AuditError
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

ORIGIN = "test.example/audit"


@dataclass
class Log:
    """Everything a test needs of one log."""

    database: Database
    keys: FileKeys
    guard: Path
    written: list[UUID] = field(default_factory=list)

    def sequencer(self, at_step: Callable[[Step], None] | None = None, **options: Any) -> Sequencer:
        return Sequencer(self.database, self.keys, self.guard, origin=ORIGIN, at_step=at_step, **options)

    @asynccontextmanager
    async def running(
        self, at_step: Callable[[Step], None] | None = None, **options: Any
    ) -> AsyncIterator[tuple[Sequencer, Receipts]]:
        sequencer = self.sequencer(at_step, **options)
        async with sequencer.running(), Receipts(self.database, sequencer) as receipts:
            yield sequencer, receipts

    @asynccontextmanager
    async def connection(self, role: DbRole = DbRole.APP) -> AsyncIterator[asyncpg.Connection]:
        conn = await self.database.connect(role)
        try:
            yield conn
        finally:
            await conn.close()

    def query(self, *subjects: UUID, **changes: Any) -> PendingEntry:
        """A bank's query about some persons, the first of whom it named."""
        ev = uuid4()
        facts: dict[str, Any] = {
            "asOf": "2026-10-20T09:00:00+08:00",
            "asked": [["tax.grade", "VALUE"], ["bank.loan", "TOTAL"]],
            "client": "bank-a",
            "role": "LOAN_OFFICER",
            "withheld": [["bank.loan", "TOTAL", "NO_BASIS"]],
        }
        if subjects:
            facts["persons"] = {
                str(subject): {"named": subject == subjects[0], "sections": [["tax.grade", "VALUE", "", 3, "ab" * 32]]}
                for subject in subjects
            }
        document = "query Profile($id: String!, $name: String!) { borrowerProfile(id: $id, name: $name) { id } }"
        values: dict[str, Any] = {
            "ev": ev,
            "kind": Kind.QUERY,
            "event": "profile:client:queried",
            "organisation": "313731038005",
            "actor": "officer-17",
            "decision": Decision.MASK,
            "policy": "rules-1",
            "facts": facts,
            "purpose": "LOAN_APPLICATION",
            "operation": operation_hash(document),
            "county": "533103",
            "subjects": subjects,
            "sealed": seal_request(self.keys, ev, document, {"id": "533103199001011234", "name": "刀岩"}),
        }
        return PendingEntry(**(values | changes))

    async def write(self, *entries: PendingEntry) -> list[UUID]:
        """Put events into the outbox, each in a transaction of its own."""
        async with self.connection() as conn:
            for entry in entries:
                await append(conn, entry)
                self.written.append(entry.ev)
        return [entry.ev for entry in entries]

    async def record(self, number: int, *subjects: UUID) -> list[UUID]:
        """Write ``number`` queries and have them recorded in one batch."""
        events = await self.write(*(self.query(*subjects) for _ in range(number)))
        async with self.running() as (_, receipts):
            await receipts.wait(events[-1], 20)
        return events

    async def owner(self, *statements: str) -> None:
        """What somebody with the owner's power can do: the triggers are off for his session's statements."""
        async with self.connection(DbRole.OWNER) as conn:
            for statement in statements:
                await conn.execute(statement)


@pytest.fixture
def log(database: Database, keys: FileKeys, tmp_path: Path) -> Log:
    return Log(database, keys, tmp_path / "guard" / "head")


async def refused(receipts: Receipts, ev: UUID, timeout: float = 2.0) -> AuditError:
    """The error with which a receipt is refused; fails the test if there is a receipt."""
    with pytest.raises(AuditError) as caught:
        await receipts.wait(ev, timeout)
    return caught.value
