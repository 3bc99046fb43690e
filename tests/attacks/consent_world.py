"""What the attacks on consent share: a world, its desk, what was written, and what leaked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from hub.access.parts import part_of
from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.core.disclosure import Asker, SubjectByNumber
from hub.core.names import Purpose
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.consent.grant_consent import ConsentGrant, grant_consent
from hub.flows.consent.request_consent import ConsentRequest, request_consent
from hub.store.database import DbRole
from tests.disclosure.world import HEAD, Person, Reply, World

OPERATION = Operation("mutation { x }", {"n": 1})
PARTS = ("roster/VALUE", "identity/VALUE", "tax.grade/VALUE", "civil.relief/YES_NO")

_WRITTEN = """
SELECT (SELECT count(*) FROM consent.request) || '|' || (SELECT count(*) FROM consent.record) || '|'
    || (SELECT count(*) FROM consent.event) || '|' || (SELECT count(*) FROM consent.delivery) || '|'
    || (SELECT count(*) FROM consent.use) || '|' || coalesce((SELECT sum(uses) FROM consent.quota), 0) || '|'
    || coalesce((SELECT string_agg(status, ',' ORDER BY basis_id) FROM consent.basis), '')
"""


def me(account: str) -> Asker:
    return Asker(account, "t1", account)


@asynccontextmanager
async def open_desk(world: World, folder: Path) -> AsyncIterator[ConsentDesk]:
    pool = await world.database.pool(DbRole.APP, size=4)
    sequencer = Sequencer(world.database, world.keys, folder / "guard")
    async with sequencer.running(), Receipts(world.database, sequencer) as receipts:
        yield ConsentDesk(pool, world.keys, receipts, even_step=0.001)
    await pool.close()


async def asked(
    desk: ConsentDesk, person: Person = HEAD, client: str = "risk-a", parts: tuple[str, ...] = PARTS
) -> UUID:
    wanted = tuple(part_of(key) for key in parts)
    done, _ = await request_consent(
        desk,
        ConsentRequest(
            Asker(client, "t1", "Li"), Purpose.LOAN_APPLICATION, SubjectByNumber(person.number, person.name), wanted,
            OPERATION,
        ),
    )  # fmt: skip
    return done.request_id


async def given(
    desk: ConsentDesk, person: Person = HEAD, account: str = "head", client: str = "risk-a",
    parts: tuple[str, ...] = PARTS,
) -> UUID:  # fmt: skip
    request = await asked(desk, person, client, parts)
    done, _ = await grant_consent(desk, ConsentGrant(me(account), request, OPERATION))
    return done.consent_id


async def written(world: World) -> str:
    """All that the consent tables hold, as one text to compare."""
    return str(await world.owner.fetchval(_WRITTEN))


async def recorded(world: World) -> int:
    """Everything that the audit log has or will have."""
    return int(
        await world.owner.fetchval("SELECT (SELECT count(*) FROM audit.pending) + (SELECT count(*) FROM audit.entry)")
    )


def shows_nothing(reply: Reply, reason: str = "NO_BASIS") -> bool:
    """Nothing of anybody: every part withheld for one reason, nobody named, no canary."""
    return reply.all_withheld(reason) and "CANARY" not in reply.text and not reply.absent and not reply.others
