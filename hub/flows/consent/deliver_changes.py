"""Organisations and sources are told what changed, by signed messages that are tried until they are taken."""

import asyncio

import asyncpg
import httpx

from hub.consent.webhook import Message, send
from hub.core.clock import Clock
from hub.store.keys import KeyService

_AT_ONCE = 20


async def deliver_changes(connection: asyncpg.Connection, keys: KeyService, clock: Clock) -> int:
    """Send what is due; returns how many were taken. ``connection`` is as hub_ingest, outside any transaction.

    A try is written down before it is made, so a message may arrive twice (it has an id), and is never lost.
    """
    rows = await connection.fetch("SELECT * FROM consent.due_deliveries($1, $2)", clock(), _AT_ONCE)
    if not rows:
        return 0
    messages = [Message(str(row["delivery_id"]), row["url"], row["is_local"], row["body"]) for row in rows]
    taken = 0
    async with httpx.AsyncClient(trust_env=False) as client:
        for sent in asyncio.as_completed([_sent(client, keys, message) for message in messages]):
            delivery_id, code = await sent
            await connection.execute("SELECT consent.note_delivery($1, $2, $3)", delivery_id, code, clock())
            taken += code == "OK"
    return taken


async def _sent(client: httpx.AsyncClient, keys: KeyService, message: Message) -> tuple[str, str]:
    return message.delivery_id, await send(client, keys, message)
