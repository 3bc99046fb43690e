"""Disclosure: one request about one person in, what may leave and its receipt out.

Requests that wait at the same moment share one round trip and one commit, up to 32 of them; nobody waits for a timer.
The database function decides, records and reads (migration 0007); this file seals what the log must hold, turns ids
into the asker's own pseudonyms, and lets nothing go before the log has signed for it.
"""

import asyncio
import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg

from hub.access.parts import part_of
from hub.audit.proof import Receipt
from hub.audit.receipts import Receipts
from hub.core.disclosure import (
    AbsentPart,
    Disclosure,
    DisclosureRequest,
    Section,
    SubjectByPseudonym,
    WithheldPart,
)
from hub.core.errors import AuditError, HubError, InputError, RefusedError, StoreError
from hub.core.ids import uuid7
from hub.core.names import AbsenceReason, WithheldReason
from hub.flows.disclosure.even_time import EVEN_STEP, Denials, Departure
from hub.flows.disclosure.gate_wire import gate_wire, pseudonym_space
from hub.store.database import DATABASE_ERRORS
from hub.store.keys import KeyService

BATCH_MAX = 32
"""The most requests of one round trip; the database function takes no more."""

_HOUSEHOLD = UUID(int=0)
_SQL = "SELECT * FROM access.disclose($1::jsonb)"
REFUSALS = {
    "ASKER_UNKNOWN": ("The asker is not registered.", "Register the system, or open the account, first."),
    "ASKER_SUSPENDED": ("The asker's registration is suspended or closed.", "Ask the hub's operator why."),
    "OFFICER_UNKNOWN": (
        "The officer is not in the register of his organisation.",
        "Have him registered with the hub, each under an id of his own.",
    ),
    "TOKEN_REVOKED": ("The access token was taken back.", "Get a new token."),
    "PROGRAMME_UNKNOWN": (
        "The asking organisation has no such programme that may be asked at this time.",
        "Use the id of a programme of your own that is approved and in its period.",
    ),
    "PROOF_USED": ("The DPoP proof was used before.", "Make a new proof for each request."),
}


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its answer."""

    request: DisclosureRequest
    ev: UUID
    wire: dict[str, Any]
    answer: asyncio.Future[asyncpg.Record] = field(repr=False)


class Discloser:
    """Answers disclosure requests over a pool of connections as ``hub_app``.

    ``lanes`` round trips run at a time; ``waiting_max`` requests may wait, further ones are refused as busy. Answers
    that name nobody, and for a while all others to the same organisation, leave in steps of ``even_step`` seconds. Use
    it as an asynchronous context manager.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        keys: KeyService,
        receipts: Receipts,
        *,
        lanes: int = 2,
        waiting_max: int = 1024,
        deadline: float = 10.0,
        even_step: float = EVEN_STEP,
    ) -> None:
        self._pool = pool
        self._keys = keys
        self._receipts = receipts
        self._deadline = deadline
        self._even_step = even_step
        self._denials = Denials()
        self._lane_count = lanes
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue(waiting_max)
        self._lanes: list[asyncio.Task[None]] = []
        self._organisations: dict[str, str] = {}

    async def __aenter__(self) -> "Discloser":
        self._lanes = [asyncio.create_task(self._run_lane()) for _ in range(self._lane_count)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for lane in self._lanes:
            lane.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        self._lanes = []
        while not self._waiting.empty():
            waiting = self._waiting.get_nowait()
            if not waiting.answer.done():
                waiting.answer.set_exception(_busy("The hub is closing."))

    async def disclose(self, request: DisclosureRequest) -> tuple[Disclosure, Receipt]:
        """Decide, record, read. Returns only after the audit log has signed for it.

        Raises :class:`RefusedError` where the asker may not ask at all (recorded all the same),
        :class:`AuditError` where the log does not record, :class:`StoreError` where the database does not answer
        or too many requests wait. In all of these nothing of the record leaves.
        """
        ev, departure = uuid7(), Departure(self._even_step)
        wire = await self._wire(request, ev)
        waiting = _Waiting(request, ev, wire, asyncio.get_running_loop().create_future())
        try:
            self._waiting.put_nowait(waiting)
        except asyncio.QueueFull:
            raise _busy("Too many requests are waiting.") from None
        answer = await waiting.answer
        receipt = await self._receipts.wait(ev, self._deadline)
        if self._denials.is_watched(answer["organisation_id"] or ""):
            # Whether there is such a person must not show in the time, nor in that of an answer about somebody else
            # which shared the call and the machine.
            await departure.wait()
        if answer["refusal"] is not None:
            sentence, remedy = REFUSALS[answer["refusal"]]
            raise RefusedError(sentence, remedy=remedy, code=answer["refusal"])
        return self._disclosure(request, ev, answer), receipt

    async def _wire(self, request: DisclosureRequest, ev: UUID) -> dict[str, Any]:
        """The request as the database function takes it."""
        client_id = request.asker.client_id
        by_pseudonym = isinstance(request.subject, SubjectByPseudonym)
        space = pseudonym_space(await self._organisation(client_id), client_id) if by_pseudonym else ""
        return gate_wire(self._keys, request, ev, space)

    async def _organisation(self, client_id: str) -> str:
        """For which organisation the asker's pseudonyms are made; the database checks the asker itself again."""
        if client_id not in self._organisations:
            try:
                found = await self._pool.fetchval("SELECT access.organisation_of($1)", client_id)
            except DATABASE_ERRORS as error:
                raise gate_failure(error) from error
            if found is None:
                return ""
            self._organisations[client_id] = found
        return self._organisations[client_id]

    async def _run_lane(self) -> None:
        while True:
            if batch := self._next_batch(await self._waiting.get()):
                await self._run_batch(batch)

    def _next_batch(self, first: _Waiting) -> list[_Waiting]:
        """What shares the next call: each subject once for each client.

        Copies of one question would multiply the time of what is done for its subject until everybody else in the call
        could see it; so they wait for later calls.
        """
        batch: dict[tuple[str, ...], _Waiting] = {}
        copies: list[_Waiting] = []
        waiting: _Waiting | None = first
        while waiting is not None:
            # Whoever has gone away meanwhile is not asked about: nothing would be recorded but a reading by nobody.
            if not waiting.answer.done() and batch.setdefault(_subject(waiting), waiting) is not waiting:
                copies.append(waiting)
            full = len(batch) == BATCH_MAX or self._waiting.empty()
            waiting = None if full else self._waiting.get_nowait()
        for copy in copies:
            self._waiting.put_nowait(copy)
        return list(batch.values())

    async def _run_batch(self, batch: list[_Waiting]) -> None:
        try:
            rows = await self._call(batch)
        except DATABASE_ERRORS as error:
            if len(batch) == 1:
                _fail(batch[0], gate_failure(error))
                return
            # One bad request must not take the others with it: the whole call was undone, so each is tried alone.
            for waiting in batch:
                await self._run_batch([waiting])
            return
        except asyncio.CancelledError:
            for waiting in batch:
                _fail(waiting, _busy("The hub is closing."))
            raise
        for row in rows:  # before any answer of the call may go
            if row["person_id"] is None:
                self._denials.note(row["organisation_id"] or "")
        for waiting, row in zip(batch, rows, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(row)

    async def _call(self, batch: list[_Waiting]) -> list[asyncpg.Record]:
        text = json.dumps([waiting.wire for waiting in batch], ensure_ascii=False)
        async with self._pool.acquire() as connection:
            rows: list[asyncpg.Record] = await connection.fetch(_SQL, text, timeout=self._deadline)
        return rows

    def _disclosure(self, request: DisclosureRequest, ev: UUID, answer: asyncpg.Record) -> Disclosure:
        organisation = answer["organisation_id"]
        self._organisations[request.asker.client_id] = organisation
        space = pseudonym_space(organisation, request.asker.client_id)
        named, others, about = answer["person_id"], answer["other_adults"], answer["section_persons"] or ()
        # Most sections are about one person: each pseudonym is made once.
        people = {person for person in (named, *others, *about) if person not in (None, _HOUSEHOLD)}
        known = {person: self._keys.pseudonym(space, person) for person in people}
        return Disclosure(
            event=ev,
            as_of=answer["as_of"],
            subject=known.get(named),
            other_adults=tuple(known[adult] for adult in others),
            adults_not_shown=answer["adults_not_shown"],
            sections=tuple(
                Section(known.get(person), part_of(key), owner, body)
                for person, key, owner, body in zip(
                    about,
                    answer["section_parts"] or (),
                    answer["section_owners"] or (),
                    answer["section_bodies"] or (),
                    strict=True,
                )
            ),
            withheld=tuple(map(withheld_part, answer["withheld"])),
            absent=tuple(map(_absent, answer["absent"])),
            basis_id=answer["basis_id"],
        )


@lru_cache(maxsize=1024)
def withheld_part(line: str) -> WithheldPart:
    """``tax.grade/VALUE=NO_BASIS``, as the gate writes it."""
    key, _, reason = line.partition("=")
    return WithheldPart(part_of(key), WithheldReason(reason))


@lru_cache(maxsize=1024)
def _absent(line: str) -> AbsentPart:
    key, _, reason = line.partition("=")
    return AbsentPart(part_of(key), AbsenceReason(reason))


def _subject(waiting: _Waiting) -> tuple[str, ...]:
    """Who asks about whom."""
    wire = waiting.wire
    return waiting.request.asker.client_id, wire.get("person", ""), *wire.get("identity", ())


def _fail(waiting: _Waiting, error: HubError) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)


def _busy(what: str) -> StoreError:
    return StoreError(what, remedy="Try again in a few seconds.", code="BUSY")


def gate_failure(error: BaseException) -> HubError:
    """The sentence for a failed call. Nothing of the database's own text is passed on: it could quote a value."""
    state = getattr(error, "sqlstate", None)
    if state == "HB110":
        return StoreError(
            "No access rules are in force, so nothing can be disclosed.",
            remedy="Run the command that prepares the database.",
            code="RULES_MISSING",
        )
    if state == "HB111":
        return InputError("The request is not complete, or asks for too many parts at once.")
    if "access.record_all" in (getattr(error, "context", None) or ""):
        return AuditError(
            "The audit log did not take the record of this query, so nothing was read.", code="AUDIT_OUTBOX"
        )
    if state in {"55P03", "40P01"} or isinstance(error, TimeoutError):
        return _busy("The record is being changed at this moment.")
    return StoreError(
        f"The database did not answer the query ({type(error).__name__}).",
        remedy="Try again; `hub doctor` says whether the database works.",
        code="STORE",
    )
