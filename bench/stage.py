"""The data that everything is measured over: a sandbox prefecture, pulled by the hub, with consents given."""

import asyncio
import itertools
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from bench.options import Options
from bench.processes import free_port
from hub.access.parts import PARTS
from hub.access.publish import publish
from hub.app import open_hub
from hub.audit.receipts import Receipts
from hub.connectors.port import Connector, Memory
from hub.connectors.registry import connector_for
from hub.connectors.sources import kind_of, load_sources
from hub.core.clock import Clock, system_clock
from hub.core.disclosure import Asker, SubjectByNumber
from hub.core.fields import CLINIC_VALUE, ELIGIBILITY, RELIEF_VALUE
from hub.core.names import Purpose, Role
from hub.core.rows import Step
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.consent.grant_consent import ConsentGrant, grant_consent
from hub.flows.consent.request_consent import ConsentRequest, request_consent
from hub.flows.intake.pull import SourceToPull, pull
from hub.flows.people.open_account import Account, open_account
from hub.flows.receipts import receipt_desk
from hub.sandbox.cast import RURAL_BANK, Cast
from hub.sandbox.prefecture import yesterday
from hub.sandbox.process import SandboxProcess
from hub.settings import Settings, load
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.prepare import prepare
from hub.store.roles import ensure_database
from hub.store.server import EmbeddedServer

BANK = RURAL_BANK.organisation_id
CLIENT = "rcb-risk"
"""The system that asks: the risk desk of the sandbox's rural bank."""

EMPTY, STATEMENT, LOG, PEER = "bench_empty", "bench_statement", "bench_log", "bench_peer"
"""Databases beside the hub's own: as migrated; a copy for the bare statement; an empty log; the peer's tables."""

_AT_ONCE = 16
_NEVER = frozenset({CLINIC_VALUE, ELIGIBILITY, RELIEF_VALUE})
"""Parts that are open to no bank."""


@dataclass(frozen=True, slots=True)
class Borrower:
    """A synthetic person who agreed to be asked about."""

    person_id: UUID
    id_number: str
    name: str


@dataclass
class Stage:
    """The prepared data."""

    settings: Settings
    database: Database
    keys: FileKeys
    server: EmbeddedServer
    steps: list[tuple[SourceToPull, Step]]
    report: dict[str, Any]
    sandbox_seconds: float = 0.0
    consent_seconds: float = 0.0
    borrowers: list[Borrower] = field(default_factory=list)

    async def copy(self, name: str, template: str | None = None) -> Database:
        """A copy of a database (default: of the hub's own), to which nobody may be connected meanwhile."""
        connection = await self.server.connect()
        try:
            await ensure_database(connection, name, template=template or self.database.name)
        finally:
            await connection.close()
        return self.database.named(name)

    async def drop(self, name: str) -> None:
        """Remove a copy."""
        connection = await self.server.connect()
        try:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        finally:
            await connection.close()

    @property
    def rows(self) -> int:
        """Rows that the agencies delivered."""
        return sum(len(step.rows) for _, step in self.steps)


class _Recorder:
    """A connector that keeps the checked steps it hands on, so that their merge can be measured again."""

    def __init__(self, inner: Connector, kept: list[Step]) -> None:
        self.kind = inner.kind
        self._inner = inner
        self._kept = kept

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        async for step in self._inner.pull(watermark, memory, clock):
            self._kept.append(step)
            yield step

    async def close(self) -> None:
        await self._inner.close()


@asynccontextmanager
async def open_stage(options: Options, tell: Callable[[str], None]) -> AsyncIterator[Stage]:
    """Make everything in a folder of its own, and remove it with its database server at the end."""
    home = Path(tempfile.mkdtemp(prefix="hub-bench-"))
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    settings = load({"HUB_HOME": str(home), "HUB_PORT": str(port), "HUB_PUBLIC_URL": address})
    try:
        tell("making the database")
        database = await prepare(settings.store_options())
        yield await _fill(options, settings, database, tell)
    finally:
        if (home / "postgres").exists():
            await EmbeddedServer(home).remove()
        await asyncio.to_thread(shutil.rmtree, home)


async def _fill(options: Options, settings: Settings, database: Database, tell: Callable[[str], None]) -> Stage:
    keys = FileKeys(settings.keys_folder)
    stage = Stage(settings, database, keys, EmbeddedServer(settings.home), [], {})
    await stage.copy(EMPTY)
    began = time.monotonic()
    folder = settings.home / "sandbox"
    folder.mkdir(mode=0o700)
    tell(f"making a prefecture of {options.households} households")
    sandbox = await SandboxProcess.start(
        folder / "agencies", households=options.households, seed=options.seed, as_of=yesterday(system_clock())
    )
    try:
        stage.sandbox_seconds = time.monotonic() - began
        tell("pulling it")
        await _pull(stage, sandbox)
        story = sandbox.story
    finally:
        await sandbox.stop()
    tell(f"giving {options.borrowers} consents")
    began = time.monotonic()
    owner = await database.connect(DbRole.OWNER)
    try:
        await publish(owner, keys)
        async with receipt_desk(database, keys, settings.home) as receipts:
            await Cast(settings.home).register(owner, keys, receipts, story)
        stage.borrowers = await _choose(stage, options.borrowers)
        await _consents(stage)
        # A consent allows three uses; a run asks thousands of times. Counting and locking stay as they are.
        await owner.execute("UPDATE consent.quota SET max_uses = 2000000000")
        await owner.execute("VACUUM ANALYZE")
    finally:
        await owner.close()
    stage.consent_seconds = time.monotonic() - began
    await stage.copy(STATEMENT)
    await stage.copy(LOG, EMPTY)
    return stage


async def _pull(stage: Stage, sandbox: SandboxProcess) -> None:
    to_pull, kept = [], []
    for source in load_sources(sandbox.sources_file):
        steps: list[Step] = []
        connector = _Recorder(connector_for(source), steps)
        to_pull.append(SourceToPull(source.name, kind_of(source), source.agreement_no, connector))
        kept.append(steps)
    async with receipt_desk(stage.database, stage.keys, stage.settings.home) as desk:
        stage.report = await pull(stage.database, stage.keys, desk, to_pull, system_clock, lambda *_: None)
    if stage.report["exit_code"] > 1 or any(entry["status"] == "FAILED" for entry in stage.report["sources"].values()):
        raise RuntimeError("the pull of the sandbox failed")
    stage.steps = [(source, step) for source, steps in zip(to_pull, kept, strict=True) for step in steps]


async def _choose(stage: Stage, wanted: int) -> list[Borrower]:
    """Adults with a credit line or a loan at the asking bank and no account yet, in the order of their numbers."""
    connection = await stage.database.connect(DbRole.INGEST)
    try:
        rows = await connection.fetch(
            """SELECT p.person_id, p.sealed_identity FROM record.person p
               WHERE p.status = 'ACTIVE' AND p.household_id IS NOT NULL AND p.name_index IS NOT NULL
                 AND EXISTS (SELECT FROM record.section s WHERE s.household_id = p.household_id
                             AND s.person_id = p.person_id AND s.owner = $1)
                 AND NOT EXISTS (SELECT FROM auth.account a WHERE a.person_id = p.person_id)""",
            BANK,
        )
    finally:
        await connection.close()
    found = []
    for row in rows:
        identity = orjson.loads(stage.keys.open("identity", row["sealed_identity"], row["person_id"].bytes))
        found.append(Borrower(row["person_id"], identity["id_number"], identity["name"]))
    found.sort(key=lambda borrower: borrower.id_number[::-1])
    return found[:wanted]


async def _consents(stage: Stage) -> None:
    """Each borrower opens an account, is asked, and agrees to everything: through the hub's own flows."""
    parts = tuple(part for part in PARTS if part not in _NEVER)
    operation = Operation("bench", {})
    waiting = iter(stage.borrowers)
    numbers = itertools.count(1)

    async def give(owner: asyncpg.Connection, desk: ConsentDesk, receipts: Receipts) -> None:
        for borrower in waiting:
            account = f"bench-{next(numbers)}"
            person = Account(account, Role.RESIDENT, person_id=borrower.person_id)
            await open_account(owner, receipts, person, operator="bench")
            asked, _ = await request_consent(
                desk,
                ConsentRequest(
                    Asker(CLIENT, "bench", "bench.officer"),
                    Purpose.LOAN_APPLICATION,
                    SubjectByNumber(borrower.id_number, borrower.name),
                    parts,
                    operation,
                ),
            )
            resident = Asker(account, f"bench-{account}", account)
            await grant_consent(desk, ConsentGrant(resident, asked.request_id, operation, heightened_notice=True))

    async with open_hub(stage.settings, stage.database) as hub:
        desk = hub.ports.consents
        owners = [await stage.database.connect(DbRole.OWNER) for _ in range(_AT_ONCE)]
        try:
            await asyncio.gather(*(give(owner, desk, desk.receipts) for owner in owners))
        finally:
            for owner in owners:
                await owner.close()
