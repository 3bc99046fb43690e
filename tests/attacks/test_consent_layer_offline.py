"""Attacks 29 and 30 over the API: a device's wrong clock, replays, slips out of order; a collector's word alone."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from hub.consent.batch import Named
from hub.consent.withdrawals import Settlement
from hub.core.clock import system_clock
from hub.core.disclosure import Asker
from hub.core.errors import HubError
from hub.flows.capture.settle_withdrawal import list_withdrawals, settle_withdrawal, show_withdrawal
from hub.flows.consent.consent_change import Operation
from hub.sandbox.device import FieldDevice, content_of, picture_of
from hub.store.database import Database
from tests.consent.field import (
    AFAR,
    BANK_A,
    COLLECTOR_HIMSELF,
    KIN,
    SUBJECT,
    W1,
    W2,
    WITHDRAW,
    YOUNG,
    Field,
    photo,
    running_field,
)  # fmt: skip

REFUSE = """mutation($input: RefuseConsentInput!) { refuseConsent(input: $input) { __typename } }"""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def field(module_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Field]:
    async with running_field(module_database, tmp_path_factory.mktemp("offline") / "home") as field:
        yield field


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_in_force(field: Field) -> None:
    """Each test begins with nothing given, and with a device that goes on where the hub has seen it."""
    await field.api.owner.execute("UPDATE consent.basis SET status = 'REVOKED' WHERE status = 'IN_FORCE'")
    await field.api.owner.execute("UPDATE consent.device SET last_time = NULL")
    last = await field.api.owner.fetchrow(
        "SELECT counter, encode(slip_hash, 'hex') AS hash FROM consent.capture WHERE device_id = 'device-1'"
        " ORDER BY counter DESC LIMIT 1"
    )
    field.device.delivered()
    field.device.counter, field.device.previous = (0, "0" * 64) if last is None else (last["counter"], last["hash"])


def review_of(answer: dict[str, Any]) -> list[list[str]]:
    assert answer["__typename"] == "ConsentsCaptured", answer
    return [slip["review"] for slip in answer["slips"]]


async def flags_of(field: Field, capture: str) -> set[str]:
    shown = await field.show(capture)
    assert shown["__typename"] == "ConsentCapture", shown
    return set(shown["flags"])


async def test_a_yes_on_paper_counts_only_when_it_was_verified(field: Field) -> None:
    capture = await field.captured()
    assert not await field.sees()
    request = await field.api.owner.fetchrow("SELECT * FROM consent.request ORDER BY asked_at DESC LIMIT 1")
    assert request["state"] == "CAPTURED"
    decided = await field.decide(capture)
    assert (decided["state"], decided["evidenceLevel"]) == ("VERIFIED", "L2")
    assert await field.sees()
    basis = await field.api.owner.fetchrow("SELECT * FROM consent.basis WHERE status = 'IN_FORCE'")
    # It counts from the hub's own acceptance on, whatever the device's clock said.
    assert basis["effective_from"] > request["decided_at"]
    again = await field.decide(capture)
    assert again == {"__typename": "NotAllowed", "code": "CAPTURE_CLOSED"}


async def test_29_replayed_slips_change_nothing(field: Field) -> None:
    await field.yes()
    batch = field.device.batch()
    first = await field.deliver()
    before = await field.state()
    for _ in range(2):
        answer = await field.deliver(batch)
        assert [slip["captureId"] for slip in answer["slips"]] == [slip["captureId"] for slip in first["slips"]]
        assert all(slip["wasKnown"] for slip in answer["slips"])
        assert await field.state() == before
    # An old slip inside a new batch is known as well.
    await field.yes()
    old = content_of(batch)["slips"]
    answer = await field.deliver(field.device.sign(content_of(field.device.batch()) | {"slips": [
        *old, *content_of(field.device.batch())["slips"]]}))  # fmt: skip
    assert [slip["wasKnown"] for slip in answer["slips"]] == [True, False]


async def test_29_gaps_reordering_reuse_and_clocks_are_flagged_and_nothing_is_lost(field: Field) -> None:
    now = system_clock()
    slips = [(await field.yes(at=now + timedelta(seconds=step)))[0] for step in range(4)]
    content = content_of(field.device.batch())
    late = field.device.sign(content | {"slips": [slips[2], slips[0]]})
    assert review_of(await field.deliver(late)) == [["GAP"], ["OUT_OF_ORDER"]]
    missing = await field.deliver(field.device.sign(content | {"slips": [slips[1], slips[3]]}))
    assert review_of(missing)[0] == ["OUT_OF_ORDER"]
    # The counter of a slip that is held, over other content; a chain that names another slip; a clock set back.
    forged = slips[1] | {"formNo": "F-OTHER"}
    assert review_of(await field.deliver(field.device.sign(content | {"slips": [forged]}))) == [
        ["COUNTER_REUSED", "OUT_OF_ORDER"]
    ]
    field.device.delivered()
    field.device.previous = "ab" * 32
    await field.yes(at=now - timedelta(hours=3))
    assert review_of(await field.deliver()) == [["CHAIN_BROKEN", "CLOCK_BACK"]]
    await field.yes(at=now + timedelta(minutes=20))
    assert review_of(await field.deliver()) == [["CLOCK_AHEAD"]]
    await field.yes(at=now - timedelta(days=30))
    last = await field.deliver()
    assert review_of(last) == [["CLOCK_BACK", "TOO_OLD"]]
    # Before it was even asked for: back-dated. That is for the reviewer, as all that concerns people.
    assert "BEFORE_ASKED" in await flags_of(field, last["slips"][0]["captureId"])
    assert not await field.sees()
    held = await field.api.owner.fetchval("SELECT count(*) FROM consent.capture WHERE device_id = 'device-1'")
    assert held >= len(slips) + 4


async def test_29_another_key_another_device_or_a_lost_one_delivers_nothing(field: Field) -> None:
    await field.yes()
    batch = content_of(field.device.batch())
    stranger = FieldDevice("device-1")
    entries = await field.api.entries()
    before = await field.state()
    for text, account, code in (
        (stranger.sign(batch), "collector", "BATCH_SIGNATURE"),
        (field.device.sign(batch | {"device": "device-9"}), "collector", "DEVICE_REFUSED"),
        (field.device.batch(), "collector-2", "DEVICE_REFUSED"),
        (field.device.batch(), "steward", "DEVICE_REFUSED"),
        (field.device.batch(), "head", "DEVICE_REFUSED"),
    ):
        assert await field.deliver(text, account) == {"__typename": "NotAllowed", "code": code}
    assert await field.state() == before
    assert await field.api.entries() == entries + 5
    lost = FieldDevice("device-lost")
    await field.register(lost, "collector-2")
    lost.withdrawal((SUBJECT.number, SUBJECT.name))
    assert (await field.deliver(lost.batch(), "collector-2"))["__typename"] == "ConsentsCaptured"
    await field.api.owner.execute("SELECT consent.end_device('device-lost', 'LOST')")
    lost.withdrawal((SUBJECT.number, SUBJECT.name))
    assert await field.deliver(lost.batch(), "collector-2") == {"__typename": "NotAllowed", "code": "DEVICE_REFUSED"}


async def test_withdrawals_come_first_and_take_effect_at_once(field: Field) -> None:
    await field.decide(await field.captured())
    assert await field.sees()
    # In one batch: a yes, then a withdrawal of everything, then another yes.
    await field.yes()
    field.device.withdrawal((SUBJECT.number, SUBJECT.name))
    await field.yes()
    batch = field.device.batch()
    answer = await field.deliver()
    assert [slip["state"] for slip in answer["slips"]] == ["CAPTURED", "TAKEN", "CAPTURED"]
    assert not await field.sees()
    ended = await field.api.owner.fetchrow("SELECT * FROM consent.event ORDER BY event_id DESC LIMIT 1 OFFSET 1")
    assert (ended["verb"], ended["by_whom"]) == ("withdrawConsent", "collector")
    # The yes before the withdrawal never comes into force, the one after it may.
    before, _, after = (slip["captureId"] for slip in answer["slips"])
    assert "WITHDRAWN" in await flags_of(field, before)
    assert "WITHDRAWN" not in await flags_of(field, after)
    await put_pictures(field)
    assert (await field.decide(before))["code"] == "CAPTURE_CLOSED"
    assert (await field.decide(after))["state"] == "VERIFIED"
    assert await field.sees()
    # The same batch again withdraws nothing that was given since.
    await field.deliver(batch)
    assert await field.sees()


async def test_a_withdrawal_by_any_way_stops_a_yes_that_still_waits(field: Field) -> None:
    consent = (await field.decide(await field.captured()))["consentId"]
    waiting = await field.captured()
    said = await field.say("subject", WITHDRAW, {"input": {"idempotencyKey": uuid4().hex, "consentId": consent}})
    assert said["__typename"] == "ConsentWithdrawn"
    assert (await field.decide(waiting))["code"] == "CAPTURE_CLOSED"
    other = await field.captured()
    field.device.withdrawal((SUBJECT.number, SUBJECT.name), BANK_A, "LOAN_APPLICATION")
    await field.deliver()
    assert "WITHDRAWN" in await flags_of(field, other)
    assert not await field.sees()


async def test_a_no_after_the_request_stops_a_yes_on_paper_that_comes_in_later(field: Field) -> None:
    consent = (await field.decide(await field.captured()))["consentId"]
    _, content = await field.yes()  # signed; days pass before the device has network
    said = await field.say("subject", WITHDRAW, {"input": {"idempotencyKey": uuid4().hex, "consentId": consent}})
    assert said["__typename"] == "ConsentWithdrawn"
    _, other = await field.yes()
    refused = await field.say("subject", REFUSE, {"input": {
        "idempotencyKey": uuid4().hex, "requestId": await field.asked()}})  # fmt: skip
    assert refused["__typename"] == "ConsentRefused"
    slips = (await field.deliver())["slips"]
    for slip, picture in zip(slips, (content, other), strict=True):
        await field.upload(picture)
        assert (await field.show(slip["captureId"]))["blockedBy"] == ["WITHDRAWN"]
        assert (await field.decide(slip["captureId"]))["code"] == "CAPTURE_CLOSED"
    assert not await field.sees()
    # What is asked for afterwards may be answered with yes.
    assert (await field.decide(await field.captured()))["state"] == "VERIFIED"


async def put_pictures(field: Field) -> None:
    for shade in range(max(1, field.shade - 4), field.shade + 1):
        await field.upload(photo(shade))


LEVELS: list[tuple[str, dict[str, Any], str]] = [
    ("the collector alone", {"witnesses": []}, "L0"),
    ("the collector twice", {"witnesses": [(COLLECTOR_HIMSELF.number, COLLECTOR_HIMSELF.name)]}, "L0"),
    ("the person himself", {"witnesses": [(SUBJECT.number, SUBJECT.name)]}, "L0"),
    ("a child", {"witnesses": [(YOUNG.number, YOUNG.name)]}, "L0"),
    ("nobody known", {"witnesses": [("533103199001010014", "无名")]}, "L0"),
    ("one witness alone", {"witnesses": [(W1.number, W1.name)], "collector_witness": False}, "L1"),
    ("one witness twice", {"witnesses": [(W1.number, W1.name)] * 2, "collector_witness": False}, "L1"),
    ("two but no picture", {"witnesses": [(W1.number, W1.name), (W2.number, W2.name)], "evidence": []}, "L1"),
]  # fmt: skip


async def test_30_the_collectors_word_is_never_enough(field: Field) -> None:
    request = await field.asked()
    form = await field.form(request)
    picture = photo(240)
    same = {
        "request_id": request, "notice": (form["noticeVersion"], form["noticeHash"]), "evidence": [picture_of(picture)],
    }  # fmt: skip
    for _, changes, _ in LEVELS:
        await field.yes(**same | changes)
    answer = await field.deliver()
    assert (await field.upload(picture)).status_code == 201
    for (name, _, level), slip in zip(LEVELS, answer["slips"], strict=True):
        shown = await field.show(slip["captureId"])
        assert (shown["evidenceLevel"], "EVIDENCE_TOO_LOW" in shown["flags"]) == (level, True), name
        assert (await field.decide(slip["captureId"]))["code"] == "EVIDENCE_TOO_LOW", name
    assert not await field.sees()
    # The person's own signature on the screen proves as much as paper, with the same witnesses.
    picture = photo(250)
    await field.yes(method="SCREEN", evidence=[picture_of(picture, "SCREEN_SIGNATURE")])
    capture = (await field.deliver())["slips"][0]["captureId"]
    assert (await field.decide(capture))["code"] == "EVIDENCE_MISSING"
    assert (await field.upload(picture)).status_code == 201
    assert (await field.decide(capture))["evidenceLevel"] == "L2"


async def test_30_what_does_not_fit_is_kept_and_never_verified(field: Field) -> None:
    request = await field.asked()
    form = await field.form(request)
    notice = (form["noticeVersion"], form["noticeHash"])
    other = {"request_id": request, "notice": notice}
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (W1, other, "REQUEST_MISMATCH"),
        (SUBJECT, {"request_id": str(uuid4()), "notice": notice}, "REQUEST_UNKNOWN"),
        (SUBJECT, other | {"parts": ["tax.grade/VALUE"]}, "PARTS_NOT_ASKED"),
        (SUBJECT, {"request_id": request, "notice": (form["noticeVersion"], "ab" * 32)}, "NOTICE_DIFFERS"),
        (SUBJECT, {"request_id": request, "notice": ("2026-1", form["noticeHash"])}, "NOTICE_DIFFERS"),
        (YOUNG, {"request_id": await field.asked(YOUNG), "notice": notice}, "NOT_ADULT"),
        (COLLECTOR_HIMSELF, other | {"request_id": await field.asked(COLLECTOR_HIMSELF)}, "COLLECTOR_IS_SUBJECT"),
    ]  # fmt: skip
    for person, changes, _ in cases:
        await field.yes(person, **changes)
    slips = (await field.deliver())["slips"]
    for (_, _, flag), slip in zip(cases, slips, strict=True):
        shown = await field.show(slip["captureId"])
        assert flag in shown["blockedBy"], (flag, shown)
        assert (await field.decide(slip["captureId"]))["code"] == "CAPTURE_CLOSED", flag
    # What can only be rejected closes nothing: its person may still answer, by himself or on a better form.
    state = "SELECT state FROM consent.request WHERE request_id = $1"
    assert await field.api.owner.fetchval(state, UUID(request)) == "REQUESTED"
    # Nobody of this number: the collector is told the same as ever.
    nobody = type(SUBJECT)(uuid4(), "533103199001010014", "无名")
    await field.yes(nobody, request_id=request, notice=notice)
    answer = await field.deliver()
    assert [(slip["state"], slip["review"]) for slip in answer["slips"]] == [("CAPTURED", [])]
    # Somebody outside the collector's villages: for the reviewer to judge.
    far = await field.captured(AFAR, request_id=await field.asked(AFAR), notice=notice)
    assert "OUT_OF_AREA" in await flags_of(field, far)


async def test_the_words_are_shown_only_for_a_request_to_that_person_in_the_area(field: Field) -> None:
    request = await field.asked()
    assert (await field.form(request))["__typename"] == "ConsentForm"
    entries = await field.api.entries()
    refused = [
        await field.form(request, W1), await field.form(str(uuid4())), await field.form(await field.asked(AFAR), AFAR),
        await field.form(await field.asked(YOUNG), YOUNG),
    ]  # fmt: skip
    assert {json.dumps(answer) for answer in refused} == {
        json.dumps({"__typename": "NotFound", "code": "REQUEST_UNKNOWN"})
    }
    assert await field.api.entries() >= entries + len(refused)
    assert (await field.form(request, account="collector-2"))["code"] == "DEVICE_REFUSED"


async def test_fingerprints_are_refused_at_the_door(field: Field) -> None:
    slip, _ = await field.yes()
    content = content_of(field.device.batch())
    before, entries = await field.state(), await field.api.entries()
    for spoilt in (
        slip | {"fingerprintTemplate": "AAAA"},
        slip | {"evidence": [{"kind": "FINGERPRINT", "mediaType": "image/png", "sha256": "ab" * 32}]},
        slip | {"evidence": [slip["evidence"][0] | {"mediaType": "image/x-wsq"}]},
        slip | {"evidence": [slip["evidence"][0] | {"kind": "指纹"}]},
    ):
        answer = await field.deliver(field.device.sign(content | {"slips": [spoilt]}))
        assert [each["code"] for each in answer["fields"]] == ["FINGERPRINT_REFUSED"]
    assert await field.state() == before
    assert await field.api.entries() == entries + 4
    malformed = await field.deliver(field.device.sign(content | {"slips": [slip | {"note": "x"}]}))
    assert [each["code"] for each in malformed["fields"]] == ["BATCH_MALFORMED"]
    # The same words in the document itself, where caches and logs would keep them, are refused before anything is read.
    token = field.api.account_token("collector")
    given = f'{{idempotencyKey: "k", batch: "{field.device.batch()}"}}'
    text = f"mutation {{ captureConsents(input: {given}) {{ __typename }} }}"
    reply = await field.api.ask(token, text)
    assert "must be sent as a variable" in reply.text
    assert await field.state() == before


async def test_a_withdrawal_is_never_lost(field: Field) -> None:
    """The number alone is enough; where nobody has it, a steward finds out whose it is, and never the collector."""
    await field.decide(await field.captured())
    field.device.withdrawal((SUBJECT.number, SUBJECT.name + "兵"))
    wrong_name = (await field.deliver())["slips"][0]["captureId"]
    assert not await field.sees()
    await field.decide(await field.captured())
    field.device.withdrawal(("533103196907070743", SUBJECT.name))
    nobody = (await field.deliver())["slips"][0]["captureId"]
    assert await field.sees()
    desk, operation, reason = field.api.hub.ports.consents, Operation("test"), "纸质撤回书 7"
    steward, concerned = Asker("steward", "", "steward"), Asker("collector-as-steward", "", "collector-as-steward")
    listed, _ = await list_withdrawals(desk, steward, operation, after=None, first=100)
    flags = {str(each.capture_id): (each.flags, each.names_somebody) for each in listed}
    assert (flags[wrong_name], flags[nobody]) == ((("NAME_DIFFERS",), True), (("PERSON_UNKNOWN",), False))
    shown, _ = await show_withdrawal(desk, steward, UUID(nobody), reason, operation)
    assert (shown.person.name, shown.withdrawal.person_id) == (SUBJECT.name, None)
    person = Named(id_number=SUBJECT.number, name=SUBJECT.name)
    before = await field.state()
    for who, named, code in (
        (concerned, person, "REVIEWER_CONCERNED"),
        (Asker("steward-far", "", "steward-far"), person, "CAPTURE_UNKNOWN"),
        (Asker("collector", "", "collector"), person, "CAPTURE_UNKNOWN"),
        (steward, Named(id_number=W1.number, name=SUBJECT.name), "PERSON_UNKNOWN"),
    ):
        with pytest.raises(HubError) as refused:
            await settle_withdrawal(desk, who, UUID(nobody), named, reason, operation)
        assert refused.value.code == code
    assert await field.state() == before
    settled, _ = await settle_withdrawal(desk, steward, UUID(nobody), person, reason, operation)
    assert (settled.cause, len(settled.ended)) == (Settlement.PERSON_FOUND, 1)
    assert not await field.sees()
    assert (await settle_withdrawal(desk, steward, UUID(wrong_name), None, reason, operation))[0].ended == []
    assert (await list_withdrawals(desk, concerned, operation, after=None, first=100))[0] == [
        each for each in listed if str(each.capture_id) not in (nobody, wrong_name)
    ]
    with pytest.raises(HubError):
        await settle_withdrawal(desk, steward, UUID(nobody), None, reason, operation)


async def test_one_form_proves_the_yes_of_one_person_to_one_request(field: Field) -> None:
    content = photo(77)
    entries = await field.api.entries()
    for person, form_no in ((SUBJECT, "F-ONE"), (KIN, "F-TWO"), (W1, "F-ONE")):
        picture = content if person is not W1 else photo(78)
        await field.yes(person, evidence=[picture_of(picture)], form_no=form_no)
    slips = (await field.deliver())["slips"]
    assert (await field.upload(content)).status_code == 201
    # Asking and showing forms, three captures and their batch, and an entry for each capture that has the picture.
    assert await field.api.entries() == entries + 6 + 4 + 2
    blocked = [(await field.show(slip["captureId"]))["blockedBy"] for slip in slips]
    assert blocked == [["EVIDENCE_REUSED", "FORM_REUSED"], ["EVIDENCE_REUSED"], ["FORM_REUSED"]]
    for slip in slips:
        assert (await field.decide(slip["captureId"]))["code"] == "CAPTURE_CLOSED"
    # The same paper for another request of the same person is no proof either.
    again = await field.captured(evidence=[picture_of(content)], form_no="F-NEW")
    assert (await field.show(again))["blockedBy"] == ["EVIDENCE_REUSED"]
