"""The state machine of a consent: in Python, in the database, and what the gate makes of it, step by step."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.consent.states import LIVING, STEPS, State, Verb, after
from hub.core.clock import system_clock
from hub.store.database import Database
from hub.store.keys import FileKeys
from tests.disclosure.world import BANK_A, HEAD, World

OWN = {Verb.SUSPEND, Verb.RESUME, Verb.WITHDRAW}
PARTS = ["identity/VALUE"]


@given(st.lists(st.sampled_from(list(Verb)), max_size=12))
def test_nothing_leaves_an_end_and_nothing_given_is_asked_again(verbs: list[Verb]) -> None:
    state = State.REQUESTED
    for verb in verbs:
        then = after(state, verb)
        if state not in LIVING:
            assert then is None
        if then is not None:
            assert not (state in {State.IN_FORCE, State.SUSPENDED} and then in {State.REQUESTED, State.CAPTURED})
            state = then


def test_every_state_can_be_reached_and_withdrawal_is_as_near_as_any_step() -> None:
    reached = {State.REQUESTED} | {state for steps in STEPS.values() for state in steps.values()}
    assert reached == set(State)
    assert all(after(state, Verb.WITHDRAW) for state in (State.IN_FORCE, State.SUSPENDED))


async def test_the_database_has_the_same_machine(world: World) -> None:
    rows = await world.owner.fetch("SELECT from_state, verb, to_state FROM consent.transition")
    assert {tuple(row.values()) for row in rows} == {
        (state.value, verb.value, then.value) for state, steps in STEPS.items() for verb, then in steps.items()
    }


def terms(request: UUID, consent: UUID) -> bytes:
    now = system_clock()
    return json.dumps({
        "consentId": str(consent), "requestId": str(request), "subject": str(HEAD.person_id), "recipient": BANK_A,
        "purpose": "LOAN_APPLICATION", "parts": PARTS, "heightenedNotice": False, "medium": "DIGITAL",
        "evidenceLevel": "L3", "effectiveFrom": now.isoformat(),
        "expiresAt": (now + timedelta(days=1)).isoformat(), "maxUses": 3,
    }).encode()  # fmt: skip


class Life:
    """One request and what came of it, changed through the functions that the application may execute."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.request, self.consent = uuid4(), uuid4()

    async def begin(self) -> None:
        now = system_clock()
        await self.world.app.fetch(
            "SELECT consent.ask($1, 'risk-a', 't1', 'Li', 'LOAN_APPLICATION', $2, NULL, 30, 3, $3, $4, $5, $6, $7)",
            self.request, PARTS, self.world.keys.indexes("identity", HEAD.number),
            self.world.keys.indexes("name", "岩罕"), now, now + timedelta(days=1), uuid4(),
        )  # fmt: skip

    async def take(self, verb: Verb) -> None:
        """Raises the database's refusal."""
        now, app, owner = system_clock(), self.world.app, self.world.owner
        if verb is Verb.GRANT:
            await app.execute(
                "SELECT consent.grant_request('head', 't1', $1, $2, $3, $4, $5)",
                self.request, terms(self.request, self.consent), bytes(64), now, uuid4(),
            )  # fmt: skip
        elif verb is Verb.REFUSE:
            await app.execute("SELECT consent.refuse_request('head', 't1', $1, $2, $3)", self.request, now, uuid4())
        elif verb in OWN:
            await app.execute(
                "SELECT consent.change('head', 't1', $1, $2, $3, $4)", self.consent, verb.value, now, uuid4()
            )
        elif verb is Verb.REVOKE:
            await app.execute(
                "SELECT consent.revoke('risk-a', 't1', $1, 'NO_LONGER_NEEDED', $2, $3)", self.consent, now, uuid4()
            )
        else:
            found = await owner.fetch(
                "SELECT * FROM consent.step($1, $2, $3, 'hub', $4)", self.consent, verb.value, now, uuid4()
            )
            if not found:
                raise asyncpg.PostgresError("no such step")

    async def state(self) -> State:
        status = await self.world.owner.fetchval("SELECT status FROM consent.basis WHERE basis_id = $1", self.consent)
        return State(
            status
            or await self.world.owner.fetchval("SELECT state FROM consent.request WHERE request_id = $1", self.request)
        )


BY_API = [verb for verb in Verb if verb is not Verb.CAPTURE]


async def test_any_order_of_steps_leads_where_the_machine_says(world: World) -> None:
    """Stateful by property: whatever is tried, the database moves like the machine; one state gives."""
    loop = asyncio.get_running_loop()

    async def live(verbs: list[Verb]) -> None:
        life, state, events = Life(world), State.REQUESTED, 1
        await life.begin()
        for verb in verbs:
            requested = state in {State.REQUESTED, State.CAPTURED}
            # Hub-side steps of a request (its timeout) go through consent.expire_due, tested apart.
            then = None if requested and verb is Verb.INVALIDATE else after(state, verb)
            if then is None:
                with pytest.raises(asyncpg.PostgresError):
                    await life.take(verb)
            else:
                await life.take(verb)
                state, events = then, events + 1
            assert await life.state() is state
            count = "SELECT count(*) FROM consent.event WHERE request_id = $1"
            assert await world.owner.fetchval(count, life.request) == events
            reply = await world.ask("risk-a", HEAD, parts=PARTS, key=str(life.request))
            assert bool(reply.parts) is (state is State.IN_FORCE)
            assert await world.owner.fetchval("SELECT consent.in_force($1)", life.consent) is bool(reply.parts)
        await world.owner.execute(
            "UPDATE consent.basis SET status = 'INVALIDATED' WHERE status IN ('IN_FORCE', 'SUSPENDED')"
        )

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(st.sampled_from(BY_API), min_size=1, max_size=6).map(
            lambda verbs: [Verb.GRANT, *verbs] if len(verbs) % 2 else verbs
        )
    )
    def run(verbs: list[Verb]) -> None:
        asyncio.run_coroutine_threadsafe(live(verbs), loop).result(60)

    await asyncio.to_thread(run)


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> Any:
    world = await World.build(database, keys)
    yield world
    await world.close()
