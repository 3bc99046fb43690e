"""What organisations and sources are told: signed, tried until it is taken, and never into an inner network."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from hub.consent.record import SIGNING_KEY, public_jwk
from hub.consent.webhook import Message, check_endpoint, is_public, send
from hub.core.canonical import text_digest
from hub.core.clock import system_clock
from hub.core.errors import InputError, RefusedError
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.consent.consent_changes import consent_changes
from hub.flows.consent.deliver_changes import deliver_changes
from hub.flows.consent.expire_consents import expire_consents
from hub.flows.consent.register_endpoint import Endpoint, register_endpoint
from hub.flows.consent.withdraw_consent import ConsentWithdrawal, withdraw_consent
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.attacks.consent_world import OPERATION, PARTS, asked, given, me, open_desk, recorded, shows_nothing
from tests.audit.entries import facts_of
from tests.disclosure.world import BANK_A, HEAD, World
from tests.loopback import listening


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> AsyncIterator[World]:
    world = await World.build(database, keys)
    yield world
    await world.close()


@pytest.fixture
async def desk(world: World, tmp_path: Path) -> AsyncIterator[ConsentDesk]:
    async with open_desk(world, tmp_path) as desk:
        yield desk


@pytest.fixture
async def ingest(world: World) -> AsyncIterator[asyncpg.Connection]:
    connection = await world.database.connect(DbRole.INGEST)
    yield connection
    await connection.close()


class Bank:
    """An organisation's own endpoint: what it was sent, and what it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answer = "204 No Content"
        self.is_slow = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        while self.is_slow:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(f"HTTP/1.1 {self.answer}\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()


@pytest.fixture
async def bank() -> AsyncIterator[Bank]:
    bank = Bank()
    async with listening(bank.serve) as port:
        bank.url = f"http://127.0.0.1:{port}/hub"
        yield bank
        bank.is_slow = False


async def states(world: World) -> list[Any]:
    rows = await world.owner.fetch("SELECT last_code, tries, delivered_at IS NOT NULL AS done FROM consent.delivery")
    return [tuple(row) for row in rows]


async def test_a_withdrawal_is_told_signed_and_once(
    world: World, desk: ConsentDesk, ingest: asyncpg.Connection, bank: Bank
) -> None:
    receipt = await register_endpoint(world.owner, desk.receipts, Endpoint(BANK_A, bank.url, True), operator="op")
    assert await facts_of(world.database, desk.keys, receipt) == {
        "recipient": BANK_A, "status": "ACTIVE", "local": True, "address": text_digest(bank.url),
    }  # fmt: skip
    consent = await given(desk)
    await withdraw_consent(desk, ConsentWithdrawal(me("head"), consent, OPERATION))
    assert await deliver_changes(ingest, desk.keys, system_clock) == 2
    assert await deliver_changes(ingest, desk.keys, system_clock) == 0
    key = OKPKey.import_key(public_jwk(desk.keys.signing_key(SIGNING_KEY).public_key()))
    told = []
    for headers, body in bank.got:
        header, between, signature = headers["hub-signature"].split(".")
        assert between == ""
        payload = base64.urlsafe_b64encode(body).rstrip(b"=").decode()
        found = jws.deserialize_compact(f"{header}.{payload}.{signature}", key, algorithms=["Ed25519"])
        assert found.headers()["typ"] == "credit-consent-notice"
        message = json.loads(body)
        assert message["deliveryId"] == headers["hub-delivery"]
        told.append(message["facts"]["state"])
        # Ids and states alone: the organisation knows whom it asked.
        assert set(message["facts"]) == {"requestId", "consentId", "purpose", "state", "at"}
        assert str(HEAD.person_id) not in body.decode()
    assert sorted(told) == ["IN_FORCE", "WITHDRAWN"]


async def test_what_is_not_taken_is_tried_again_later_and_later(
    world: World, desk: ConsentDesk, ingest: asyncpg.Connection, bank: Bank
) -> None:
    await register_endpoint(world.owner, desk.receipts, Endpoint(BANK_A, bank.url, True), operator="op")
    await given(desk)
    now = system_clock()
    for tries, (answer, code, minutes) in enumerate(
        [("503 Busy", "HTTP_503", 0), ("302 Found", "HTTP_302", 2), ("500 No", "HTTP_500", 5)], 1
    ):
        bank.answer = answer
        assert await deliver_changes(ingest, desk.keys, lambda minutes=minutes: now + timedelta(minutes=minutes)) == 0
        assert await states(world) == [(code, tries, False)]
    assert len(bank.got) == 3  # the redirection was not followed
    bank.answer = "200 OK"
    assert await deliver_changes(ingest, desk.keys, lambda: now + timedelta(minutes=6)) == 0  # not yet
    assert await deliver_changes(ingest, desk.keys, lambda: now + timedelta(minutes=30)) == 1
    assert await states(world) == [("OK", 4, True)]


async def test_an_endpoint_that_answers_a_byte_at_a_time_holds_nobody_up(
    world: World, desk: ConsentDesk, ingest: asyncpg.Connection, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.consent.webhook._SECONDS", 0.5)
    await register_endpoint(world.owner, desk.receipts, Endpoint(BANK_A, bank.url, True), operator="op")
    await given(desk)
    bank.is_slow = True
    async with asyncio.timeout(10):
        assert await deliver_changes(ingest, desk.keys, system_clock) == 0
    bank.is_slow = False
    assert await states(world) == [("UNREACHED", 1, False)]


async def test_a_dead_endpoint_is_given_up_and_the_list_still_has_it(
    world: World, desk: ConsentDesk, ingest: asyncpg.Connection
) -> None:
    await register_endpoint(world.owner, desk.receipts, Endpoint(BANK_A, "http://127.0.0.1:1/", True), operator="op")
    await given(desk)
    now = system_clock()
    for hours in range(0, 7 * 20, 7):
        await deliver_changes(ingest, desk.keys, lambda hours=hours: now + timedelta(hours=hours))
    assert {(code, tries) for code, tries, _ in await states(world)} == {("UNREACHED", 16)}
    page = await consent_changes(desk, me("risk-a"), None, 100)
    assert "IN_FORCE" in {change["facts"]["state"] for change in page.changes}


async def test_an_organisation_pulls_its_own_changes_without_gap(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    await given(desk, client="officer-b")
    first = await consent_changes(desk, me("risk-a"), None, 1)
    rest = await consent_changes(desk, me("officer-a"), first.cursor, 100)
    told = [*first.changes, *rest.changes]
    assert [change["facts"]["state"] for change in told][-1] == "IN_FORCE"
    assert {change["facts"]["consentId"] for change in told} - {None} == {str(consent)}
    await withdraw_consent(desk, ConsentWithdrawal(me("head"), consent, OPERATION))
    after = await consent_changes(desk, me("risk-a"), rest.cursor, 100)
    assert [change["facts"]["state"] for change in after.changes] == ["WITHDRAWN"]
    assert not (await consent_changes(desk, me("risk-a"), after.cursor, 100)).changes
    # What an older transaction still holds back is not passed over: nothing newer is listed before it.
    holding = world.owner.transaction()
    await holding.start()
    await world.owner.execute(
        "INSERT INTO consent.delivery (delivery_id, recipient, topic, body) VALUES ($1, $2, 'CONSENT', $3)",
        uuid4(), BANK_A, json.dumps({"deliveryId": "late", "topic": "CONSENT", "facts": {"state": "LATE"}}),
    )  # fmt: skip
    await given(desk)
    assert not (await consent_changes(desk, me("risk-a"), after.cursor, 100)).changes
    await holding.commit()
    seen = (await consent_changes(desk, me("risk-a"), after.cursor, 100)).changes
    assert seen[0]["facts"]["state"] == "LATE"
    for asker in ("head", "nobody"):
        with pytest.raises(RefusedError):
            await consent_changes(desk, me(asker), None, 10)
    for cursor in ("x", "", "AAAA", "MS5ub3BlCg"):
        with pytest.raises(InputError):
            await consent_changes(desk, me("risk-a"), cursor, 10)


async def test_what_time_ends_is_written_down_told_and_recorded(
    world: World, desk: ConsentDesk, ingest: asyncpg.Connection
) -> None:
    consent = await given(desk)
    request = await asked(desk)
    assert await expire_consents(ingest, desk.receipts, system_clock) == 0
    entries = await recorded(world)
    later = system_clock() + timedelta(days=31)
    assert await expire_consents(ingest, desk.receipts, lambda: later) == 2
    assert await expire_consents(ingest, desk.receipts, lambda: later) == 0
    assert await recorded(world) == entries + 2
    assert await world.owner.fetchval("SELECT status FROM consent.basis WHERE basis_id = $1", consent) == "EXPIRED"
    assert (
        await world.owner.fetchval("SELECT state FROM consent.request WHERE request_id = $1", request) == "INVALIDATED"
    )
    assert shows_nothing(await world.ask("risk-a", HEAD, parts=list(PARTS)))
    page = await consent_changes(desk, me("risk-a"), None, 100)
    assert {"EXPIRED", "INVALIDATED"} <= {change["facts"]["state"] for change in page.changes}


async def test_sources_are_told_of_challenges(world: World) -> None:
    insert = (
        "INSERT INTO record.challenge (county, challenge_id, person_id, household_id, source, source_key, attribute,"
        " version, cause, rule_version, stated, opened_at, due_on)"
        " VALUES ('533103', $1, $1, $1, $2, 'k-17', 'name', '1', 'LOST', 1, '', now(), '2026-12-01')"
    )
    await world.owner.execute("INSERT INTO consent.endpoint (recipient, url) VALUES ('tax', 'https://tax.example/hub')")
    await world.owner.execute(insert, uuid4(), "tax")
    await world.owner.execute(insert, uuid4(), "social_security")  # has no endpoint
    (row,) = await world.owner.fetch("SELECT recipient, topic, body FROM consent.delivery")
    assert (row["recipient"], row["topic"]) == ("tax", "CHALLENGE")
    assert json.loads(row["body"])["facts"]["sourceKey"] == "k-17"


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.9", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1",
        "64:ff9b::a00:1", "2002:7f00:1::", "2001:0:1::", "ff02::1",
    ],
)  # fmt: skip
def test_no_address_of_an_inner_network_is_public(address: str) -> None:
    assert not is_public(address)


def test_a_public_address_is_public() -> None:
    assert is_public("93.184.215.14")
    assert is_public("2606:4700::1111")


@pytest.mark.parametrize(
    "url",
    [
        "http://bank.example/hub", "https://user@bank.example/", "https://bank.example/#x", "https://10.0.0.1/",
        "https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://[::1]/", "ftp://bank.example/", "https:///x",
        "https://bank.example:0/", "https://bank.example:99999/", "https://bank.example/a b", "file:///etc/passwd", "",
        "https://银行.example/",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_one_is_refused_at_registration(url: str) -> None:
    with pytest.raises(InputError) as refused:
        check_endpoint(url, is_local=False)
    assert refused.value.code == "ENDPOINT_MALFORMED"
    assert url not in str(refused.value) or not url


def test_local_endpoints_are_of_this_machine_only() -> None:
    assert check_endpoint("http://127.0.0.1:9/x", is_local=True)
    for url in ("http://10.0.0.1/", "http://bank.example/"):
        with pytest.raises(InputError):
            check_endpoint(url, is_local=True)


async def test_a_name_that_leads_to_an_inner_address_is_not_spoken_to(keys: FileKeys, bank: Bank) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        inner = Message("d", bank.url.replace("http://127.0.0.1", "https://localhost"), False, "{}")
        assert await send(client, keys, inner) == "UNSAFE_ADDRESS"
    assert bank.got == []
