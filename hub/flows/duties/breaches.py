"""What is done after a breach (个人信息保护法 art. 57, 数据安全法 art. 29, 网络数据安全管理条例 art. 10).

An operator opens it, works out from the ledger of queries whom it reaches, and says what persons are to be told; a
security administrator, signed in with a passkey, decides on that; then the operator reports, tells, and closes. Each
step is an entry in the log. Deadlines count from when the breach became known (hub/access/breach_duties.toml).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from hub.access.breaches import Breach, BreachKind, duties_of, list_breaches, overdue, put_duties
from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append
from hub.audit.receipts import Receipts
from hub.core.canonical import digest
from hub.core.clock import Clock, day_of, iso
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.core.ids import uuid7
from hub.core.names import Category
from hub.core.text import is_plain_text
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.begin_session import digest_of
from hub.store.refusals import refusing

POLICY = "breach-1"
"""Version of the rules after a breach."""

TEXT_MAX = 500
PORTAL = "PORTAL"
"""The channel by which the hub itself tells persons: where they find what concerns them (``notices``)."""

_RECEIPT_SECONDS = 60.0
_PERSONS_AT_ONCE = 500
_REFUSALS = {
    "HB169": RefusedError("a security administrator, signed in with a passkey, decides this.", code="NOT_ALLOWED"),
    "HB190": RefusedError("Only a resident has notices.", code="NOT_ALLOWED"),
    "HB193": RefusedError(
        "what you saw of this breach does not wait for a decision any more.",
        remedy="Open the page again: it was decided, or assessed anew.",
        code="BREACH_STATE",
    ),
}


@dataclass(frozen=True, slots=True)
class BreachNotice:
    """What persons are told (个人信息保护法 art. 57(1)): plain text, nothing about any one of them."""

    cause: str
    harm: str
    measures: str
    advice: str
    contact: str

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> "BreachNotice":
        """The notice of a file. Raises :class:`InputError` unless each of its texts has 1 to 500 plain characters."""
        names = [each.name for each in fields(cls)]
        texts = [told.get(name) for name in names]
        good = [isinstance(text, str) and 0 < len(text.strip()) <= TEXT_MAX and is_plain_text(text) for text in texts]
        if set(told) != set(names) or not all(good):
            raise InputError(
                f"a notice has the texts {', '.join(names)}, each of 1 to {TEXT_MAX} plain characters.",
                remedy="Write them as one JSON object.",
                code="BREACH_NOTICE",
            )
        return cls(*(str(text).strip() for text in texts))

    def as_json(self) -> dict[str, str]:
        """The texts by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Reach:
    """Whom a breach reaches: those shown to ``organisation`` (any, if ``None``) from ``since`` until before ``until``,
    or everybody of ``county``.
    """

    since: datetime | None = None
    until: datetime | None = None
    organisation: str | None = None
    county: str | None = None

    def check(self) -> None:
        """Raise :class:`InputError` unless it is either a span or a county."""
        span = self.since is not None and self.until is not None and self.since < self.until
        if span == (self.county is not None) or (self.county is not None and self.organisation is not None):
            raise InputError(
                "say whom it reaches: a span of time (and an organisation), or a whole county.",
                remedy="Give --from and --until, or --county.",
                code="BREACH_REACH",
            )

    def facts(self) -> dict[str, Any]:
        """As the log writes it."""
        told: dict[str, Any] = {"about": self.organisation, "counties": None if self.county is None else [self.county]}
        told |= {"since": self.since and iso(self.since), "until": self.until and iso(self.until)}
        return {name: value for name, value in told.items() if value is not None}


@dataclass(frozen=True, slots=True)
class BreachAssessment:
    """What an operator found out. ``tell_persons`` is false only where the measures avert all harm."""

    reach: Reach
    categories: tuple[Category, ...]
    organisations: tuple[str, ...]
    tell_persons: bool
    notice: BreachNotice


@dataclass(frozen=True, slots=True)
class BreachDesk:
    """A connection as hub_ingest, the log, the clock, and who acts."""

    connection: asyncpg.Connection
    receipts: Receipts
    clock: Clock
    operator: str

    async def record(self, entry: PendingEntry) -> None:
        """Wait until the log has signed for the last entry of a step."""
        await self.receipts.wait(entry.ev, _RECEIPT_SECONDS)

    def entry(self, event: str, breach: UUID, subjects: tuple[UUID, ...] = (), **facts: Any) -> PendingEntry:
        """The entry of one step."""
        return _entry(event, self.operator, {"breach": str(breach), **facts}, subjects)


async def open_breach(desk: BreachDesk, what: BreachKind, discovered_at: datetime, *, public_interest: bool) -> Breach:
    """Open a breach; what is to be done at once begins to count from ``discovered_at``, which cannot lie ahead."""
    now = desk.clock()
    if discovered_at > now:
        raise InputError("a breach cannot become known in the future.", code="BREACH_TIME")
    breach = uuid7()
    entry = desk.entry(
        "breach:operator:opened", breach,
        what=what.value, discoveredAt=iso(discovered_at), publicInterest=public_interest,
    )  # fmt: skip
    duties = duties_of(public_interest=public_interest, tell_persons=False, minors=False, organisations=False)
    await desk.receipts.ready()
    async with desk.connection.transaction():
        await desk.connection.execute(
            """INSERT INTO access.breach (breach_id, what, discovered_at, public_interest, opened_at, opened_by)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            breach, what.value, discovered_at, public_interest, now, desk.operator,
        )  # fmt: skip
        await put_duties(desk.connection, breach, discovered_at, duties)
        await append(desk.connection, entry)
    await desk.record(entry)
    return await find_breach(desk.connection, breach)


async def assess_breach(desk: BreachDesk, breach: UUID, found: BreachAssessment) -> Breach:
    """Put down how far it reaches; whom, is worked out here. It then waits for a security administrator.

    May be repeated until it was decided. Raises :class:`InputError`, or :class:`RefusedError` (BREACH_STATE).
    """
    found.reach.check()
    if not found.categories:
        raise InputError("say which categories of data it reaches.", code="BREACH_REACH")
    conn, notice, reach = desk.connection, found.notice.as_json(), found.reach
    await desk.receipts.ready()
    async with conn.transaction():
        held = await _locked(conn, breach, "OPEN", "ASSESSED")
        unknown = await _unknown(conn, found.organisations)
        if unknown:
            raise InputError(f"organisation {unknown} is not registered.", code="ORGANISATION_UNKNOWN")
        count = await conn.fetchrow(
            "SELECT * FROM access.reach_of_breach($1, $2, $3, $4, $5)",
            breach, reach.since, reach.until, reach.organisation, reach.county,
        )  # fmt: skip
        categories = [category.value for category in found.categories]
        await conn.execute(
            """UPDATE access.breach
               SET state = 'ASSESSED', reach = $2, categories = $3, notice = $4, organisations = $5,
                   tell_persons = $6, assessed_at = $7, assessed_by = $8
               WHERE breach_id = $1""",
            breach, orjson.dumps(reach.facts()).decode(), categories, orjson.dumps(notice).decode(),
            list(found.organisations), found.tell_persons, desk.clock(), desk.operator,
        )  # fmt: skip
        duties = duties_of(
            public_interest=held.public_interest,
            tell_persons=found.tell_persons and count["persons"] > 0,
            minors=count["minors"] > 0,
            organisations=bool(found.organisations),
        )
        await put_duties(conn, breach, held.discovered_at, duties)
        entry = desk.entry(
            "breach:operator:assessed", breach, categories=categories, reached=count["persons"], minors=count["minors"],
            tellPersons=found.tell_persons, notice=digest(notice), assessment=await _assessment(conn, breach),
            **reach.facts(),
        )  # fmt: skip
        await append(conn, entry)
    await desk.record(entry)
    return await find_breach(conn, breach)


async def decide_breach(desk: AccountDesk, secret: str, breach: UUID, seen: bytes, *, approve: bool) -> None:
    """A security administrator, known by the cookie, lets an assessment stand or has it made anew. ``seen``: the
    digest that :func:`breaches_to_decide` gave; one that was made anew meanwhile is not decided.

    Raises :class:`RefusedError` (NOT_ALLOWED, BREACH_STATE).
    """
    async with desk.change() as conn:
        with refusing(_REFUSALS):
            row = await conn.fetchrow(
                "SELECT * FROM access.decide_breach($1, $2, $3, $4)", digest_of(secret), breach, seen, approve
            )
        facts = {"breach": str(breach), "tellPersons": row["told"], "assessment": seen.hex()}
        decision = Decision.ALLOW if approve else Decision.DENY
        entry = _entry("breach:administrator:decided", row["decided_by"], facts, decision=decision)
        await append(conn, entry)
    await desk.receipts.wait(entry.ev, _RECEIPT_SECONDS)


async def breaches_to_decide(desk: AccountDesk, secret: str) -> list[dict[str, Any]]:
    """What waits for the security administrator with this cookie; ``digest`` stands for all of it.

    Raises :class:`RefusedError` (NOT_ALLOWED).
    """
    async with desk.reading() as conn:
        with refusing(_REFUSALS):
            rows = await conn.fetch("SELECT * FROM access.breaches_to_decide($1)", digest_of(secret))
    return [dict(row) | {name: orjson.loads(row[name]) for name in ("notice", "reach")} for row in rows]


async def notify(desk: BreachDesk, breach: UUID, duty: str, *, channel: str, reference: str | None) -> Breach:
    """A duty was done: ``channel`` says how, ``reference`` under which number. For PERSONS and
    ORGANISATIONS the hub's own notice goes out with it.

    Raises :class:`RefusedError`: BREACH_STATE where it is not decided yet, BREACH_DUTY where no such duty is open.
    """
    for text in (channel, reference or "-"):
        if not text.strip() or len(text) > 100 or not is_plain_text(text):
            raise InputError("channel and reference are plain text of 1 to 100 characters.", code="BREACH_CHANNEL")
    conn = desk.connection
    await desk.receipts.ready()
    async with conn.transaction():
        held = await _locked(conn, breach, "OPEN", "ASSESSED", "DECIDED")
        open_duty = next((each for each in held.duties if each.name == duty and each.done_at is None), None)
        if open_duty is None:
            raise RefusedError(f"no duty {duty} of this breach is open.", code="BREACH_DUTY")
        told = None
        if duty in {"PERSONS", "GUARDIANS", "ORGANISATIONS"}:
            if held.state != "DECIDED":
                raise RefusedError(
                    "nobody is told before a security administrator has decided.",
                    remedy="Have it decided at /breaches.",
                    code="BREACH_STATE",
                )
            told = await _tell(desk, breach, duty, channel)
        now = desk.clock()
        await conn.execute(
            """UPDATE access.breach_duty SET done_at = $3, done_by = $4, channel = $5, reference = $6
               WHERE breach_id = $1 AND duty = $2""",
            breach, duty, now, desk.operator, channel, reference,
        )  # fmt: skip
        facts: dict[str, Any] = {} if told is None else {"told": told}
        entry = desk.entry(
            "breach:operator:notified", breach,
            duty=duty, dueAt=iso(open_duty.due_at), late=now > open_duty.due_at, channel=channel, **facts,
        )  # fmt: skip
        await append(conn, entry)
    await desk.record(entry)
    return await find_breach(conn, breach)


async def close_breach(desk: BreachDesk, breach: UUID) -> Breach:
    """Close a breach whose assessment was decided and whose duties are all done. Raises BREACH_STATE, BREACH_DUTY."""
    await desk.receipts.ready()
    async with desk.connection.transaction():
        held = await _locked(desk.connection, breach, "DECIDED")
        left = [duty.name for duty in held.duties if duty.done_at is None]
        if left:
            raise RefusedError(
                f"still to be done: {', '.join(left)}.", remedy="`hub breach notify`", code="BREACH_DUTY"
            )
        await desk.connection.execute(
            "UPDATE access.breach SET state = 'CLOSED', closed_at = $2, closed_by = $3 WHERE breach_id = $1",
            breach,
            desk.clock(),
            desk.operator,
        )
        entry = desk.entry("breach:operator:closed", breach)
        await append(desk.connection, entry)
    await desk.record(entry)
    return await find_breach(desk.connection, breach)


async def watch_breaches(connection: asyncpg.Connection, receipts: Receipts, clock: Clock) -> int:
    """Raise an alarm, once for each duty that was not done in time; returns how many are new."""
    desk = BreachDesk(connection, receipts, clock, "hub worker")
    now, entry, new = clock(), None, 0
    await receipts.ready()
    async with connection.transaction():
        for breach, duty in await overdue(connection, now):
            due: datetime | None = await connection.fetchval(
                """SELECT due_at FROM access.breach_duty
                   WHERE breach_id = $1 AND duty = $2 AND overdue_ev IS NULL FOR UPDATE""",
                breach, duty,
            )  # fmt: skip
            if due is None:
                continue
            entry, new = desk.entry("breach:hub:overdue", breach, duty=duty, dueAt=iso(due)), new + 1
            await append(connection, entry)
            await connection.execute(
                "UPDATE access.breach_duty SET overdue_ev = $3 WHERE breach_id = $1 AND duty = $2",
                breach, duty, entry.ev,
            )  # fmt: skip
            await connection.execute(
                """INSERT INTO access.alert AS a (kind, raised_at, day, organisation_id, officer, observed)
                   VALUES ('BREACH', $1, $2, 'hub', $3, 1)
                   ON CONFLICT (kind, day, organisation_id, officer, village_code)
                   DO UPDATE SET observed = a.observed + 1""",
                now, day_of(now), str(breach),
            )  # fmt: skip
    if entry is not None:
        await desk.record(entry)
    return new


async def own_notices(desk: ConsentDesk, asker: Asker) -> list[dict[str, Any]]:
    """What the resident behind the account was told; that he reads it is noted. Raises NOT_ALLOWED."""
    async with desk.reading() as conn:
        with refusing(_REFUSALS):
            rows = await conn.fetch("SELECT * FROM access.own_notices($1, $2)", asker.client_id, asker.token_id)
    return [dict(row) | {"notice": orjson.loads(row["notice"])} for row in rows]


async def find_breach(connection: asyncpg.Connection, breach: UUID) -> Breach:
    """One breach. Raises :class:`RefusedError` (BREACH_UNKNOWN)."""
    found = await list_breaches(connection, breach)
    if not found:
        raise RefusedError("there is no such breach.", remedy="`hub breach list` shows them.", code="BREACH_UNKNOWN")
    return found[0]


async def _locked(connection: asyncpg.Connection, breach: UUID, *states: str) -> Breach:
    await connection.execute("SELECT FROM access.breach WHERE breach_id = $1 FOR UPDATE", breach)
    held = await find_breach(connection, breach)
    if held.state not in states:
        raise RefusedError(f"the breach is {held.state}.", remedy="See `hub breach show`.", code="BREACH_STATE")
    return held


async def _assessment(connection: asyncpg.Connection, breach: UUID) -> str:
    found: bytes = await connection.fetchval("SELECT access.assessment_digest($1)", breach)
    return found.hex()


async def _unknown(connection: asyncpg.Connection, organisations: tuple[str, ...]) -> str | None:
    for organisation in organisations:
        if not await connection.fetchval("SELECT access.organisation_stands($1)", organisation):
            return organisation
    return None


async def _tell(desk: BreachDesk, breach: UUID, duty: str, channel: str) -> int:
    """Tell whom the duty is about; how many were told."""
    conn = desk.connection
    if duty == "ORGANISATIONS":
        told: int = await conn.fetchval("SELECT access.tell_breach($1)", breach)
        return told
    rows = await conn.fetch(
        "SELECT person_id FROM access.breach_person WHERE breach_id = $1 AND ($2 OR minor) ORDER BY person_id",
        breach, duty == "PERSONS",
    )  # fmt: skip
    if duty == "PERSONS":
        persons = [row["person_id"] for row in rows]
        for start in range(0, len(persons), _PERSONS_AT_ONCE):
            some = tuple(persons[start : start + _PERSONS_AT_ONCE])
            await append(conn, desk.entry("breach:hub:told", breach, some, channel=channel))
        await conn.execute(
            "UPDATE access.breach_person SET told_at = $2 WHERE breach_id = $1 AND told_at IS NULL",
            breach, desk.clock(),
        )  # fmt: skip
    return len(rows)


def _entry(
    event: str,
    actor: str,
    facts: Mapping[str, Any],
    subjects: tuple[UUID, ...] = (),
    decision: Decision = Decision.ALLOW,
) -> PendingEntry:
    return PendingEntry(
        ev=uuid7(),
        kind=Kind.ADMIN,
        event=event,
        organisation="hub",
        actor=actor,
        decision=decision,
        policy=POLICY,
        subjects=subjects,
        facts=facts,
    )
