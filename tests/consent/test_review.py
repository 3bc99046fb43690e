"""Review of captured consent over the API: who may, the call-back by lot, evidence, what was altered, devices."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

from hub.consent.store import expire_due
from hub.core.clock import system_clock
from hub.core.disclosure import Asker
from hub.core.errors import HubError
from hub.flows.capture.change_device import end_device, list_devices, register_device
from hub.flows.capture.hold_evidence import destroy_evidence
from hub.flows.consent.check_consents import check_consents
from hub.flows.consent.consent_change import Operation
from hub.flows.people.account_desk import AccountDesk
from hub.sandbox.device import FieldDevice, picture_of
from hub.store.database import Database, DbRole
from tests.api.world import COUNTY

from .field import COLLECTOR_HIMSELF, EVIDENCE, LIST, SUBJECT, VILLAGE, W1, Field, photo, running_field

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    async with running_field(module_database, tmp_path_factory.mktemp("review") / "home") as field:
        yield field


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_in_force(field: Field) -> None:
    await field.api.owner.execute("UPDATE consent.basis SET status = 'REVOKED' WHERE status = 'IN_FORCE'")


async def evidence_of(field: Field, capture: str) -> UUID:
    found: UUID = await field.api.owner.fetchval(
        "SELECT evidence_id FROM consent.evidence WHERE capture_id = $1::uuid", capture
    )
    return found


async def read(field: Field, account: str, evidence: UUID | str) -> dict[str, Any]:
    return await field.say(account, EVIDENCE, {"id": str(evidence), "reason": "案件 7"})


async def test_only_a_steward_who_has_no_part_in_it_decides(field: Field) -> None:
    capture = await field.captured()
    before, entries = await field.state(), await field.api.entries()
    for account, code in (
        ("steward-kin", "REVIEWER_CONCERNED"),
        ("steward-witness", "REVIEWER_CONCERNED"),
        ("collector-as-steward", "REVIEWER_CONCERNED"),
        ("steward-far", "CAPTURE_UNKNOWN"),
        ("collector", "CAPTURE_UNKNOWN"),
        ("subject", "CAPTURE_UNKNOWN"),
        ("regulator", "CAPTURE_UNKNOWN"),
    ):
        assert (await field.decide(capture, account))["code"] == code, account
        assert (await field.show(capture, account))["code"] == code, account
        listed = await field.say(account, LIST, {"first": 50})
        found = [edge["node"]["id"] for edge in listed.get("edges", [])]
        assert (capture in found) == (account in ("steward-kin", "steward-witness", "collector-as-steward")), account
    assert await field.state() == before
    assert await field.api.entries() >= entries
    shown = await field.show(capture)
    assert shown["person"] == {"name": SUBJECT.name, "idMasked": f"{SUBJECT.number[:6]}********{SUBJECT.number[-4:]}"}
    assert (shown["witnessesCounted"], shown["evidenceLevel"], shown["blockedBy"]) == (3, "L2", [])
    assert "村" not in shown["notice"]
    assert (await field.decide(capture, cause="FORM_DIFFERS"))["fields"] == [{"code": "CAUSE_MISMATCH"}]
    assert (await field.decide(capture, reason=" "))["fields"] == [{"code": "REASON_MISSING"}]
    assert (await field.decide(capture))["state"] == "VERIFIED"
    newest = "SELECT terms FROM consent.record ORDER BY recorded_at DESC LIMIT 1"
    terms = json.loads(await field.api.owner.fetchval(newest))
    assert (terms["medium"], terms["expression"], terms["evidenceLevel"]) == ("PAPER", "SIGNED_FORM", "L2")
    assert terms["capturedBy"] == {"account": "collector", "device": "device-1"}
    assert terms["verifiedBy"] == "steward"
    assert len(terms["witnessedBy"]) == 3
    assert SUBJECT.number not in json.dumps(terms)


async def test_the_person_finds_every_step_and_no_table_holds_a_number_or_name(field: Field) -> None:
    capture = await field.captured()
    await field.show(capture)
    await field.decide(capture)
    history = """query { accessHistory(first: 30) { ... on AccessConnection { edges { node { event meaning } } } } }"""
    answer = await field.say("subject", history, {})
    events = {edge["node"]["event"]: edge["node"]["meaning"] for edge in answer["edges"]}
    assert {
        "consent:collector:captured", "capture:collector:form_shown", "evidence:collector:uploaded",
        "capture:steward:shown", "consent:steward:verified",
    } <= events.keys()  # fmt: skip
    assert "复核" in events["consent:steward:verified"]
    tables = await field.api.owner.fetch(
        "SELECT schemaname || '.' || tablename AS name FROM pg_tables"
        " WHERE schemaname IN ('consent', 'auth', 'audit', 'access')"
    )
    for table in tables:
        rows = await field.api.owner.fetch(f"SELECT t::text AS text FROM {table['name']} t")
        for person in (SUBJECT, W1, COLLECTOR_HIMSELF):
            raw = base64.b64encode(person.number.encode())[4:-4].decode()
            assert not any(person.number in row["text"] or raw in row["text"] for row in rows), table["name"]
            hexed = person.number.encode().hex()
            assert not any(hexed in row["text"] for row in rows), table["name"]


async def test_whoever_is_drawn_is_called_back_first_and_the_draw_is_recorded(field: Field) -> None:
    desk = field.api.hub.ports.consents
    try:
        object.__setattr__(desk, "call_back_per_mille", 1000)
        capture = await field.captured()
    finally:
        object.__setattr__(desk, "call_back_per_mille", 0)
    assert (await field.show(capture))["mustCallBack"]
    assert (await field.decide(capture, calledBack=False)) == {"__typename": "NotAllowed", "code": "CALL_BACK_NEEDED"}
    assert not await field.sees()
    assert (await field.decide(capture))["state"] == "VERIFIED"
    row = await field.api.owner.fetchrow("SELECT * FROM consent.capture WHERE capture_id = $1::uuid", capture)
    assert (row["draw_below"], row["is_called_back"], 0 <= row["draw"] < 1000) == (1000, True, True)
    other = await field.captured()
    assert not (await field.show(other))["mustCallBack"]
    assert (await field.decide(other, calledBack=False))["state"] == "VERIFIED"
    object.__setattr__(desk, "call_back_per_mille", 100)
    with pytest.raises(asyncpg.PostgresError):  # nobody draws again
        await field.api.owner.execute("UPDATE consent.capture SET draw = 999")


async def test_whoever_sends_a_request_in_again_draws_the_same_lot(field: Field) -> None:
    requests = [await field.asked(SUBJECT) for _ in range(4)]
    draws: list[set[int]] = []
    for request in requests:
        form = await field.form(request)
        notice = (form["noticeVersion"], form["noticeHash"])
        captures = [UUID(await field.captured(request_id=request, notice=notice)) for _ in range(2)]
        rows = await field.api.owner.fetch("SELECT draw FROM consent.capture WHERE capture_id = ANY ($1)", captures)
        draws.append({row["draw"] for row in rows})
    assert [len(one) for one in draws] == [1] * 4
    assert len(set.union(*draws)) > 1


async def test_a_rejected_yes_never_counts_and_what_shows_a_print_is_destroyed(field: Field) -> None:
    capture = await field.captured()
    evidence = await evidence_of(field, capture)
    assert (await read(field, "steward", evidence))["__typename"] == "EvidenceContent"
    decided = await field.decide(capture, accept=False, cause="PRINT_NOT_MASKED", calledBack=False)
    assert decided["state"] == "REJECTED"
    assert (await read(field, "steward", evidence))["code"] == "EVIDENCE_UNKNOWN"
    assert not await field.api.owner.fetchval(
        "SELECT EXISTS (SELECT FROM consent.evidence_piece WHERE evidence_id = $1)", evidence
    )
    assert (await field.decide(capture))["code"] == "CAPTURE_CLOSED"
    row = await field.api.owner.fetchrow(
        "SELECT r.state, e.cause FROM consent.capture c JOIN consent.request r ON r.request_id = c.request_id"
        " JOIN consent.event e ON e.request_id = r.request_id AND e.verb = 'invalidateConsent'"
        " WHERE c.capture_id = $1::uuid", capture,
    )  # fmt: skip
    assert (row["state"], row["cause"]) == ("INVALIDATED", "PRINT_NOT_MASKED")
    assert not await field.sees()
    # The pictures of another cause stay, as what they are: evidence of a rejection.
    other = await field.captured()
    await field.decide(other, accept=False, cause="PERSON_DENIES")
    assert (await read(field, "steward", await evidence_of(field, other)))["__typename"] == "EvidenceContent"


async def test_a_print_that_is_found_too_late_is_destroyed_and_its_consent_ends(field: Field) -> None:
    desk, operation = field.api.hub.ports.consents, Operation("destroy")
    capture = await field.captured()
    evidence = await evidence_of(field, capture)
    steward = Asker("steward", "", "steward")
    for asker, code in ((steward, "CAPTURE_CLOSED"), (Asker("steward-far", "", "x"), "EVIDENCE_UNKNOWN")):
        with pytest.raises(HubError) as refused:
            await destroy_evidence(desk, asker, evidence, "指印", operation)
        assert refused.value.code == code
    consent = (await field.decide(capture))["consentId"]
    assert await field.sees()
    for account in ("steward-kin", "steward-witness", "collector-as-steward"):
        with pytest.raises(HubError) as refused:
            await destroy_evidence(desk, Asker(account, "", account), evidence, "指印", operation)
        assert refused.value.code == "REVIEWER_CONCERNED"
        assert (await read(field, account, evidence))["code"] == "REVIEWER_CONCERNED"
    assert await field.sees()
    # One condemns it, however often he says so, and another person destroys it. What somebody called for who has left,
    # or long ago, counts no more.
    second = Asker("steward-2", "", "steward-2")
    await destroy_evidence(desk, second, evidence, "指印", operation)
    status = "UPDATE auth.account SET status = $1 WHERE account_id = 'steward-2'"
    await field.api.owner.execute(status, "SUSPENDED")
    assert not (await destroy_evidence(desk, steward, evidence, "指印", operation))[0].is_done
    await field.api.owner.execute(status, "ACTIVE")
    await field.api.owner.execute("UPDATE consent.condemned SET condemned_at = now() - interval '31 days'")
    assert not (await destroy_evidence(desk, second, evidence, "指印", operation))[0].is_done
    await field.api.owner.execute("DELETE FROM consent.condemned")
    for _ in range(2):
        called, _ = await destroy_evidence(desk, steward, evidence, "指印", operation)
        assert (called.is_done, called.consent_id) == (False, None)
    assert await field.sees()
    assert (await read(field, "steward-2", evidence))["__typename"] == "EvidenceContent"
    gone, _ = await destroy_evidence(desk, second, evidence, "指印", operation)
    assert (gone.is_done, str(gone.consent_id)) == (True, consent)
    assert not await field.sees()
    assert (await read(field, "steward", evidence))["code"] == "EVIDENCE_UNKNOWN"
    with pytest.raises(HubError):
        await destroy_evidence(desk, steward, evidence, "指印", operation)


async def test_evidence_is_taken_only_as_announced_and_once(field: Field) -> None:
    slip, content = await field.yes()
    digest = slip["evidence"][0]["sha256"]
    before = await field.state()
    assert (await field.upload(content)).status_code == 404  # the batch that announces it has not come
    await field.deliver()
    before = await field.state()
    exif = photo(1) + b"more"
    cases = [
        (content, "0" * 64, "collector", 422, "EVIDENCE_HASH"),
        (exif, picture_of(exif)["sha256"], "collector", 404, "EVIDENCE_UNANNOUNCED"),
        (content, digest, "collector-2", 404, "EVIDENCE_UNANNOUNCED"),
        (content, digest, "steward", 404, "EVIDENCE_UNANNOUNCED"),
        (content, "xyz", "collector", 404, "BAD_REQUEST"),
    ]
    for body, named, account, status, code in cases:
        reply = await field.upload(body, named, account)
        assert (reply.status_code, reply.json()["errors"][0]["extensions"]["code"]) == (status, code)
    assert (await field.api.http.put(f"/evidence/{digest}", content=content)).status_code == 401
    assert (await field.upload(b"x" * (1 << 20) + b"x")).status_code == 413
    assert await field.state() == before
    first = await field.upload(content)
    assert (first.status_code, "receipt" in first.json()) == (201, True)
    after = await field.state()
    assert (await field.upload(content)).status_code == 200
    assert await field.state() == after
    # A picture that was announced but hides something is refused whoever signed its hash.
    held = photo(2)
    hidden = held[:-12] + bytes.fromhex("00000000") + b"fpTm" + bytes.fromhex("2d2a1f4e") + held[-12:]
    await field.yes(evidence=[picture_of(hidden)])
    await field.deliver()
    reply = await field.upload(hidden)
    assert reply.json()["errors"][0]["extensions"]["code"] in ("EVIDENCE_METADATA", "EVIDENCE_MEDIA_TYPE")
    # What lies in the database is sealed.
    pieces = await field.api.owner.fetch("SELECT sealed FROM consent.evidence_piece")
    assert not any(content[8:40] in row["sealed"] for row in pieces)


async def test_evidence_is_read_by_few_and_every_reading_is_recorded(field: Field) -> None:
    capture = await field.captured()
    evidence = await evidence_of(field, capture)
    for account in ("wife", "regulator", "collector", "steward-far", "head"):
        assert (await read(field, account, evidence))["code"] == "EVIDENCE_UNKNOWN", account
    assert (await read(field, "steward", uuid4()))["code"] == "EVIDENCE_UNKNOWN"
    basis = uuid4()
    await field.api.owner.execute(
        "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose, parts,"
        " effective_from, expires_at, holder, declared_by) VALUES ($1, 'JUDICIAL', '法 7', $2, 'hub', $3, 'JUDICIAL',"
        " '{}', now() - interval '1 minute', now() + interval '1 day', 'regulator', 'regulator')",
        basis, COUNTY, SUBJECT.person_id,
    )  # fmt: skip
    entries = await field.api.entries()
    for account in ("steward", "subject", "regulator"):
        answer = await read(field, account, evidence)
        assert picture_of(base64.b64decode(answer["content"]))["sha256"] == answer["digest"], account
    assert await field.api.entries() >= entries + 3
    await field.api.owner.execute("UPDATE consent.basis SET status = 'ENDED' WHERE basis_id = $1", basis)
    assert (await read(field, "regulator", evidence))["code"] == "EVIDENCE_UNKNOWN"


async def alter(field: Field, statement: str, *arguments: Any) -> None:
    """As somebody who owns the database and switches its triggers off."""
    for table in ("capture", "capture_batch", "evidence"):
        await field.api.owner.execute(f"ALTER TABLE consent.{table} DISABLE TRIGGER USER")
    await field.api.owner.execute(statement, *arguments)
    for table in ("capture", "capture_batch", "evidence"):
        await field.api.owner.execute(f"ALTER TABLE consent.{table} ENABLE TRIGGER USER")


async def test_31_altered_evidence_blocks_a_capture_and_freezes_a_consent(
    field: Field, module_database: Database
) -> None:
    mine = [await field.captured() for _ in range(3)]
    other = await field.captured()
    evidence = await evidence_of(field, mine[0])
    piece = field.api.keys.seal("evidence", b"another picture", evidence.bytes + bytes(4))
    await alter(field, "UPDATE consent.evidence_piece SET sealed = $2 WHERE evidence_id = $1", evidence, piece)
    await alter(field, "UPDATE consent.capture SET slip_hash = sha256('x') WHERE capture_id = $1::uuid", mine[1])
    await alter(
        field, "UPDATE consent.capture_batch SET sealed = (SELECT sealed FROM consent.capture_batch WHERE batch_id ="
        " (SELECT batch_id FROM consent.capture WHERE capture_id = $2::uuid)) WHERE batch_id ="
        " (SELECT batch_id FROM consent.capture WHERE capture_id = $1::uuid)", mine[2], other,
    )  # fmt: skip
    for capture in mine:
        assert (await field.decide(capture))["code"] == "EVIDENCE_ALTERED"
        flags = await field.api.owner.fetchval("SELECT flags FROM consent.capture WHERE capture_id = $1::uuid", capture)
        assert flags.count("EVIDENCE_ALTERED") == 1
    assert not await field.sees()
    # Of a consent in force the job of the day finds it.
    consent = (await field.decide(other))["consentId"]
    ingest = await module_database.connect(DbRole.INGEST)
    desk = field.api.hub.ports.consents
    try:
        looked, frozen = await check_consents(ingest, desk.keys, desk.receipts, system_clock)
        assert (looked > 0, frozen) == (True, 0)
        kept = await evidence_of(field, other)
        await alter(field, "DELETE FROM consent.evidence_piece WHERE evidence_id = $1", kept)
        assert (await check_consents(ingest, desk.keys, desk.receipts, system_clock))[1] == 1
    finally:
        await ingest.close()
    assert not await field.sees()
    cause = await field.api.owner.fetchval("SELECT frozen_cause FROM consent.basis WHERE basis_id = $1::uuid", consent)
    assert cause == "EVIDENCE_ALTERED"


async def test_what_a_device_delivered_is_never_changed_or_read_past_the_functions(
    field: Field, module_database: Database
) -> None:
    await field.decide(await field.captured())
    app = await module_database.connect(DbRole.APP)
    try:
        for connection, statement in (
            (field.api.owner, "UPDATE consent.capture SET person_id = gen_random_uuid()"),
            (field.api.owner, "UPDATE consent.capture SET flags = '{}' WHERE flags <> '{}'"),
            (field.api.owner, "UPDATE consent.capture SET state = 'CAPTURED' WHERE state = 'VERIFIED'"),
            (field.api.owner, "DELETE FROM consent.capture"),
            (field.api.owner, "UPDATE consent.evidence SET sha256 = sha256('x')"),
            (field.api.owner, "UPDATE consent.capture_batch SET digest = sha256('x')"),
            (app, "SELECT * FROM consent.capture"),
            (app, "SELECT * FROM consent.evidence_piece"),
            (app, "SELECT * FROM consent.device"),
            (app, "SELECT consent.register_device('x', 'collector', '533103001001', '{}', 'x')"),
            (app, "SELECT consent.captured_proof(gen_random_uuid())"),
        ):
            before = await field.state()
            try:
                changed = await connection.execute(statement)
            except asyncpg.PostgresError:
                changed = "UPDATE 0"
            assert changed == "UPDATE 0", statement
            assert await field.state() == before
    finally:
        await app.close()


async def test_one_person_has_one_device_and_a_lost_one_is_out_at_once(field: Field, module_database: Database) -> None:
    desk = field.api.hub.ports.consents
    pool = await module_database.pool(DbRole.INGEST, size=1)
    accounts = AccountDesk(pool, desk.keys, desk.receipts)
    new = FieldDevice("device-2")
    waiting = await field.captured()
    try:
        for device, account, village, code in (
            (new, "collector", VILLAGE, "DEVICE_SECOND"),
            (new, "collector-2", "533103009009", "DEVICE_VILLAGE"),
            (new, "steward", VILLAGE, "DEVICE_OWNER"),
            (new, "nobody", VILLAGE, "DEVICE_OWNER"),
            (FieldDevice("device-2", field.device.key), "collector-2", VILLAGE, "DEVICE_TAKEN"),
            (FieldDevice("device-1"), "collector-2", VILLAGE, "DEVICE_TAKEN"),
            (FieldDevice("a b"), "collector-2", VILLAGE, "DEVICE_ID"),
        ):
            with pytest.raises(HubError) as refused:
                await register_device(accounts, device.device_id, account, village, device.jwk, operator="op")
            assert refused.value.code == code
        await register_device(accounts, "device-2", "collector-2", VILLAGE, new.jwk, operator="op")
        assert (await end_device(accounts, "device-2", "RETIRED", operator="op"))[0] == 0
        flagged, _ = await end_device(accounts, "device-1", "LOST", operator="op")
        assert flagged >= 1
        with pytest.raises(HubError) as gone:
            await end_device(accounts, "device-1", "LOST", operator="op")
        assert gone.value.code == "DEVICE_UNKNOWN"
        listed = {row["device_id"]: row["status"] for row in await list_devices(accounts)}
        assert listed == {"device-1": "LOST", "device-2": "RETIRED"}
    finally:
        await pool.close()
        back = "UPDATE consent.device SET status = 'ACTIVE', ended_at = NULL WHERE device_id = 'device-1'"
        await field.api.owner.execute(back)
    assert "DEVICE_LOST" in (await field.show(waiting))["flags"]


async def asked_for(field: Field, request: str) -> dict[str, Any]:
    """What a slip says of a request."""
    form = await field.form(request)
    return {"request_id": request, "notice": (form["noticeVersion"], form["noticeHash"])}


async def age(field: Field, request: str, days: int) -> None:
    """Let a request be asked sixty days ago, captured so many days ago, and have run out a day later."""
    await field.api.owner.execute(
        "ALTER TABLE consent.request DISABLE TRIGGER USER; UPDATE consent.request"
        f" SET asked_at = now() - interval '60 days', expires_at = now() - interval '{days - 1} days',"
        f" decided_at = now() - interval '{days} days' WHERE request_id = '{request}';"
        " ALTER TABLE consent.request ENABLE TRIGGER USER"
    )


async def test_a_yes_that_came_in_time_does_not_run_out_while_it_waits_for_its_review(
    field: Field, module_database: Database
) -> None:
    """The person answered in time; the hub has thirty days to look at it."""
    ingest = await module_database.connect(DbRole.INGEST)
    told = "SELECT state FROM consent.request_state('risk-a', '', $1, now())"

    async def aged(days: int) -> tuple[str, UUID]:
        """A capture that came in so many days ago, for a request that ran out since."""
        request = await field.asked()
        capture = await field.captured(**await asked_for(field, request))
        await age(field, request, days)
        return capture, UUID(request)

    try:
        capture, request = await aged(29)
        assert request not in {each.consent_id for each in await expire_due(ingest, system_clock(), 500)}
        assert await field.api.owner.fetchval(told, request) == "CAPTURED"
        assert (await field.decide(capture))["state"] == "VERIFIED"
        capture, request = await aged(31)
        assert await field.api.owner.fetchval(told, request) == "EXPIRED"
        assert (await field.decide(capture))["code"] == "CAPTURE_CLOSED"
        assert request in {each.consent_id for each in await expire_due(ingest, system_clock(), 500)}
    finally:
        await ingest.close()


async def test_a_yes_that_came_too_late_or_proves_too_little_keeps_no_request_open(field: Field) -> None:
    """Neither can be verified: when the last slip that could be is rejected, the request is over and its asker told."""
    state = "SELECT state FROM consent.request WHERE request_id = $1"
    request = await field.asked()
    shown = await asked_for(field, request)
    weak = await field.captured(witnesses=[], **shown)
    assert await field.api.owner.fetchval(state, UUID(request)) == "REQUESTED"
    good = await field.captured(**shown)
    await age(field, request, 5)
    late = await field.captured(**shown)
    assert {"EVIDENCE_TOO_LOW", "REQUEST_CLOSED"} == {
        flag for capture in (weak, late) for flag in (await field.show(capture))["blockedBy"]
    }
    assert (await field.decide(good, accept=False, cause="PERSON_DENIES"))["state"] == "REJECTED"
    assert await field.api.owner.fetchval(state, UUID(request)) == "INVALIDATED"
    assert (await field.decide(late))["code"] == "CAPTURE_CLOSED"
    assert (await field.decide(weak))["code"] == "EVIDENCE_TOO_LOW"
    assert not await field.sees()


async def test_a_withdrawal_that_comes_in_amid_a_verification_ends_what_is_verified(
    field: Field, module_database: Database
) -> None:
    """Both are decided one after the other, so neither misses what the other has not committed yet."""
    capture = await field.captured()
    owner = await module_database.connect(DbRole.OWNER)
    try:
        async with owner.transaction():
            # The verification has looked for withdrawals only after it has this row.
            await owner.execute(
                "SELECT FROM consent.request WHERE request_id ="
                " (SELECT request_id FROM consent.capture WHERE capture_id = $1) FOR UPDATE", UUID(capture),
            )  # fmt: skip
            verifying = asyncio.create_task(field.decide(capture))
            await blocked(field, 1)
            field.device.withdrawal((SUBJECT.number, SUBJECT.name))
            delivering = asyncio.create_task(field.deliver())
            await blocked(field, 2)
        assert (await verifying)["state"] == "VERIFIED"
        assert (await delivering)["__typename"] == "ConsentsCaptured"
    finally:
        await owner.close()
    assert not await field.sees()
    assert not await field.api.owner.fetchval(
        "SELECT count(*) FROM consent.basis WHERE person_id = $1 AND status = 'IN_FORCE'", SUBJECT.person_id
    )


async def blocked(field: Field, number: int) -> None:
    """Wait until so many wait for a lock. Asked outside of a transaction, which would see one moment only."""
    waiting = (
        "SELECT count(DISTINCT l.pid) FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
        " WHERE NOT l.granted AND a.datname = current_database()"
    )
    async with asyncio.timeout(20):
        while await field.api.owner.fetchval(waiting) < number:
            await asyncio.sleep(0.02)


async def test_a_form_of_an_earlier_version_with_the_words_of_today_is_taken(field: Field) -> None:
    request = await field.asked()
    form = await field.form(request)
    capture = await field.captured(request_id=request, notice=("2026-2", form["noticeHash"]))
    assert (await field.decide(capture))["state"] == "VERIFIED"
