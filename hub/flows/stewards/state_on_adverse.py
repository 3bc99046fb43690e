"""A resident says something about one of his adverse items (征信业管理条例 art. 16), or takes that back.

Everybody who is shown the item is shown what he says. It belongs to the item, so it stays beside it through
corrections, and goes with it. It shows at once; while a pull is under way, when that has ended.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from hub.audit.events import Decision, Kind
from hub.audit.outbox import PendingEntry, append, operation_hash, seal_request
from hub.audit.proof import Receipt
from hub.core.clock import day_of
from hub.core.disclosure import Asker
from hub.core.errors import InputError, RefusedError
from hub.core.identifiers import names_id_number
from hub.core.ids import uuid7
from hub.core.names import Purpose
from hub.core.version import VERSION
from hub.flows.consent.consent_change import client_facts
from hub.flows.intake.challenge_sources import challenging
from hub.flows.intake.pull import PULL_LOCK
from hub.flows.stewards.steward_desk import StewardDesk
from hub.records.adverse_items.adverse_notes import Item, NewStatement, item_of_person, write_statement
from hub.records.folding.sections import is_settled, refresh_at_once
from hub.records.linkage.link_review import households_of
from hub.records.people.roster import mark_stale

TEXT_MAX = 500
"""Characters of a statement."""

_RECEIPT_SECONDS = 10.0
_OPERATION = "stateOnAdverse"
"""Recorded instead of the operation as it was sent, in which the text may stand."""


@dataclass(frozen=True, slots=True)
class OwnStatement:
    """What the person behind the account says about one of his items; ``text`` is ``None`` to take it back."""

    asker: Asker
    item_id: str
    text: str | None

    def checked(self) -> str | None:
        """The text in normal form. Raises :class:`InputError`: STATEMENT_LENGTH, STATEMENT_TEXT, STATEMENT_NUMBER."""
        if self.text is None:
            return None
        text = unicodedata.normalize("NFC", self.text).strip()
        if not 1 <= len(text) <= TEXT_MAX:
            raise InputError(f"a statement has 1 to {TEXT_MAX} characters.", code="STATEMENT_LENGTH")
        if any(unicodedata.category(character).startswith("C") and character != "\n" for character in text):
            raise InputError("a statement is plain text.", code="STATEMENT_TEXT")
        if names_id_number(text):
            raise InputError(
                "a statement does not name an ID number: lenders read it.", remedy="Leave it out.",
                code="STATEMENT_NUMBER",
            )  # fmt: skip
        return text


@dataclass(frozen=True, slots=True)
class Stated:
    """A statement is made or taken back. ``shows_at_once`` is false while a pull is under way."""

    item_id: str
    stated_at: datetime
    is_withdrawn: bool
    shows_at_once: bool


async def state_on_adverse(desk: StewardDesk, statement: OwnStatement) -> tuple[Stated, Receipt]:
    """Store and record it.

    Raises :class:`RefusedError`: NOT_ALLOWED (no account of a resident), ADVERSE_UNKNOWN (no such item of his, or its
    time is over), STATEMENT_MISSING (nothing to take back).
    """
    text = statement.checked()
    event = uuid7()
    async with desk.writing() as connection:
        is_ours: bool = await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", PULL_LOCK)
        now = desk.clock()
        person = await _resident(desk, statement.asker)
        item = await item_of_person(connection, desk.keys, person, statement.item_id, day_of(now))
        if item is None:
            raise RefusedError("no such item is shown in your record.", code="ADVERSE_UNKNOWN")
        if text is None and not await _has_statement(connection, item):
            raise RefusedError("there is no statement to take back.", code="STATEMENT_MISSING")
        await write_statement(connection, desk.keys, NewStatement(item, person, text, event, now))
        await append(connection, _entry(desk, statement, person, event))
        shows_at_once = is_ours and await is_settled(connection)
        homes = (await households_of(connection, {person})).get(person, set())
        if shows_at_once:
            await refresh_at_once(connection, desk.keys, now, homes, challenging(desk.keys))
        else:
            await mark_stale(connection, homes, [])
    return Stated(statement.item_id, now, text is None, shows_at_once), await desk.receipts.wait(
        event, _RECEIPT_SECONDS
    )


async def _resident(desk: StewardDesk, asker: Asker) -> UUID:
    """The person behind the account at this moment."""
    state = await desk.bearer_state(asker)
    if state is None or state["found_role"] != "RESIDENT" or state["person_id"] is None:
        raise RefusedError("Only a resident makes statements.", code="NOT_ALLOWED")
    person: UUID = state["person_id"]
    return person


async def _has_statement(connection: asyncpg.Connection, item: Item) -> bool:
    found: bool | None = await connection.fetchval(
        """SELECT sealed_text IS NOT NULL FROM record.adverse_statement WHERE source = $1 AND source_key = $2
           ORDER BY number DESC LIMIT 1""",
        *item,
    )
    return bool(found)


def _entry(desk: StewardDesk, statement: OwnStatement, person: UUID, event: UUID) -> PendingEntry:
    """Holds neither the text nor the item's key: they would outlive the item in the log."""
    return PendingEntry(
        ev=event,
        kind=Kind.WRITE,
        event="record:resident:annotated",
        organisation="",
        actor=statement.asker.actor,
        decision=Decision.ALLOW,
        policy=f"hub-{VERSION}",
        purpose=Purpose.SELF_ACCESS.value,
        operation=operation_hash(_OPERATION),
        subjects=(person,),
        facts=client_facts(statement.asker, "RESIDENT"),
        sealed=seal_request(desk.keys, event, _OPERATION, {"item": statement.item_id}),
    )
