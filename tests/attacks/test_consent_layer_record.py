"""Attacks 30 to 32 and 36 on consent: the record itself, and what the person was shown."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from hub.consent.notice import NOTICE_VERSION, notice_text
from hub.consent.receipt import verify_receipt
from hub.core.canonical import digest
from hub.core.clock import system_clock
from hub.core.errors import InputError, RefusedError
from hub.flows.consent.check_consents import check_consents
from hub.flows.consent.consent_change import ConsentDesk
from hub.flows.consent.consent_receipt import consent_receipt
from hub.flows.consent.grant_consent import ConsentGrant, grant_consent
from hub.flows.consent.my_consents import my_requests
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from tests.disclosure.world import BANK_A, HEAD, World

from .consent_world import OPERATION, PARTS, asked, given, me, open_desk, recorded, shows_nothing, written


@pytest.fixture
async def world(database: Database, keys: FileKeys) -> AsyncIterator[World]:
    world = await World.build(database, keys)
    yield world
    await world.close()


@pytest.fixture
async def desk(world: World, tmp_path: Path) -> AsyncIterator[ConsentDesk]:
    async with open_desk(world, tmp_path) as desk:
        yield desk


async def test_31_an_edited_record_is_found_and_frozen(world: World, desk: ConsentDesk) -> None:
    consent = await given(desk)
    ingest = await world.database.connect(DbRole.INGEST)
    try:
        assert await check_consents(ingest, desk.keys, desk.receipts, system_clock) == (1, 0)
        await world.owner.execute("ALTER TABLE consent.record DISABLE TRIGGER USER")
        await world.owner.execute(
            "UPDATE consent.record SET terms = e.t, digest = sha256(e.t)"
            " FROM (SELECT convert_to(replace(convert_from(terms, 'UTF8'), '\"maxUses\":3', '\"maxUses\":9'), 'UTF8')"
            " AS t"
            " FROM consent.record) e"
        )  # fmt: skip
        assert await check_consents(ingest, desk.keys, desk.receipts, system_clock) == (1, 1)
        entries = await recorded(world)
        assert await check_consents(ingest, desk.keys, desk.receipts, system_clock) == (1, 0)  # told once
        assert await recorded(world) == entries
    finally:
        await ingest.close()
    assert shows_nothing(await world.ask("risk-a", HEAD, parts=list(PARTS)))
    assert not await world.owner.fetchval("SELECT consent.in_force($1)", consent)
    with pytest.raises(RefusedError) as refused:
        await consent_receipt(desk, me("head"), consent)
    assert refused.value.code == "CONSENT_DAMAGED"


async def test_32_the_database_refuses_to_edit_terms(world: World, desk: ConsentDesk) -> None:
    await given(desk)
    before = await written(world)
    for connection, statement in (
        (world.owner, "UPDATE consent.record SET terms = ''"),
        (world.owner, "DELETE FROM consent.record"),
        (world.owner, "TRUNCATE consent.record CASCADE"),
        (world.owner, "UPDATE consent.event SET verb = 'grantConsent'"),
        (world.owner, "UPDATE consent.request SET parts = '{bank.loan/VALUE}'"),
        (world.owner, "UPDATE consent.request SET state = 'REQUESTED'"),
        (world.owner, "DELETE FROM consent.request"),
        (world.app, "UPDATE consent.record SET terms = ''"),
        (world.app, "UPDATE consent.basis SET max_uses = 99"),
        (world.app, "SELECT consent.step(gen_random_uuid(), 'resumeConsent', now(), 'x', gen_random_uuid())"),
        (world.app, "SELECT * FROM consent.delivery"),
    ):
        with pytest.raises(asyncpg.PostgresError):
            await connection.execute(statement)
    assert await written(world) == before


async def test_36_the_hub_renders_the_text_and_its_hash_is_in_the_record(world: World, desk: ConsentDesk) -> None:
    request = await asked(desk)
    (shown,) = await my_requests(desk, me("head"))
    assert shown.notice == notice_text(shown.request, shown.request.parts)
    done, _ = await grant_consent(desk, ConsentGrant(me("head"), request, OPERATION))
    receipt = await consent_receipt(desk, me("head"), done.consent_id)
    found = verify_receipt(json.dumps(receipt))
    assert found.terms["noticeHash"] == digest(shown.notice)
    assert (found.terms["noticeVersion"], found.state) == (NOTICE_VERSION, "IN_FORCE")
    assert [step["verb"] for step in receipt["steps"]] == ["requestConsent", "grantConsent"]
    # What was shown cannot be widened by whoever shows it.
    before = await written(world)
    again = await asked(desk, parts=("identity/VALUE",))
    with pytest.raises(InputError):
        await grant_consent(desk, ConsentGrant(me("head"), again, OPERATION, ("identity/VALUE", "adverse/VALUE")))
    assert (await written(world)).count("IN_FORCE") == before.count("IN_FORCE")
    for account in ("wife", "child", "risk-a"):
        with pytest.raises(RefusedError):
            await consent_receipt(desk, me(account), done.consent_id)


_BASE = {"medium": "PAPER", "capturedBy": {"account": "collector", "device": "d1"}, "evidenceItems": []}
_PHOTO = [{"kind": "MASKED_FORM_PHOTO"}]
_TWO = [{"id": "collector"}, {"id": "w1"}]


_LEVELS: list[tuple[dict[str, object], bool, int]] = [
    ({}, False, 0),
    ({"witnessedBy": [{"id": "collector"}], "evidenceItems": _PHOTO}, False, 0),
    ({"witnessedBy": [{"id": "collector"}, {"id": "collector"}], "evidenceItems": _PHOTO}, False, 0),
    ({"witnessedBy": [{"id": "w1"}], "evidenceItems": _PHOTO}, False, 1),
    ({"witnessedBy": _TWO}, False, 1),
    ({"witnessedBy": _TWO, "evidenceItems": _PHOTO, "capturedBy": {"account": "collector"}}, False, 1),
    ({"witnessedBy": _TWO, "evidenceItems": _PHOTO}, False, 2),
    ({"witnessedBy": _TWO, "evidenceItems": _PHOTO, "medium": "DIGITAL"}, False, 0),
    ({"medium": "DIGITAL"}, True, 3),
    ({"witnessedBy": _TWO, "evidenceItems": _PHOTO}, True, 0),
]


async def test_30_the_collectors_word_alone_is_no_evidence(world: World) -> None:
    for terms, himself, level in _LEVELS:
        text = json.dumps(_BASE | terms)
        assert await world.owner.fetchval("SELECT consent.evidence_of($1, $2)", text, himself) == level, text


async def test_30_terms_that_claim_more_than_they_prove_are_refused(world: World, desk: ConsentDesk) -> None:
    before_request = await asked(desk)
    before = await written(world)
    for claimed in ("L4", "L2", None):
        terms = {
            "consentId": str(uuid4()), "requestId": str(before_request), "subject": str(HEAD.person_id),
            "recipient": BANK_A, "purpose": "LOAN_APPLICATION", "parts": list(PARTS), "heightenedNotice": False,
            "medium": "DIGITAL", "evidenceLevel": claimed, "effectiveFrom": system_clock().isoformat(),
            "expiresAt": (system_clock() + timedelta(days=1)).isoformat(), "maxUses": 1,
        }  # fmt: skip
        with pytest.raises(asyncpg.PostgresError) as refused:
            await world.app.execute(
                "SELECT consent.grant_request('head', 't1', $1, $2, $3, $4, $5)",
                before_request, json.dumps(terms).encode(), bytes(64), system_clock(), uuid4(),
            )  # fmt: skip
        assert refused.value.sqlstate == "HB106"
    await world.owner.execute("UPDATE consent.purpose SET min_evidence = 4 WHERE purpose = 'LOAN_APPLICATION'")
    with pytest.raises(RefusedError) as weak:
        await grant_consent(desk, ConsentGrant(me("head"), before_request, OPERATION))
    assert weak.value.code == "EVIDENCE_TOO_LOW"
    assert await written(world) == before
