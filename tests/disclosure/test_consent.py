"""Consent from request to withdrawal, and what each step does to the next query."""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from hub.access.parts import part_key, part_of
from hub.audit.receipts import Receipts
from hub.audit.sequencer import Sequencer
from hub.consent.record import SIGNING_KEY, SignedTerms, is_genuine
from hub.core.clock import system_clock
from hub.core.disclosure import Asker, SubjectByNumber
from hub.core.errors import AuditError, HubError, InputError, RefusedError
from hub.core.names import Purpose
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.consent.grant_consent import ConsentGrant, ConsentGranted, grant_consent
from hub.flows.consent.my_consents import my_consents, my_requests, request_state
from hub.flows.consent.refuse_consent import ConsentRefusal, refuse_consent
from hub.flows.consent.request_consent import ConsentRequest, ConsentRequested, request_consent
from hub.flows.consent.withdraw_consent import ConsentWithdrawal, withdraw_consent
from hub.store.database import DbRole

from .world import BANK_A, BANK_B, CHILD, DEAD, HEAD, STRANGER, WIFE, Person, World

OPERATION = Operation("mutation { x }", {"n": 1})
PARTS = ("identity/VALUE", "tax.grade/VALUE", "bank.loan/TOTAL")


@pytest.fixture
async def desk(world: World, tmp_path: Path) -> AsyncIterator[ConsentDesk]:
    pool = await world.database.pool(DbRole.APP, size=4)
    sequencer = Sequencer(world.database, world.keys, tmp_path / "guard")
    async with sequencer.running(), Receipts(world.database, sequencer) as receipts:
        yield ConsentDesk(pool, world.keys, receipts, even_step=0.001)
    await pool.close()


def me(account: str) -> Asker:
    return Asker(account, "t1", account)


async def ask(
    desk: ConsentDesk, person: Person, client: str = "risk-a", parts: tuple[str, ...] = PARTS,
    purpose: Purpose = Purpose.LOAN_APPLICATION, name: str | None = None, uses: int | None = None,
) -> ConsentRequested:  # fmt: skip
    wanted = tuple(part_of(key) for key in parts)
    subject = SubjectByNumber(person.number, name or person.name)
    done, receipt = await request_consent(
        desk, ConsentRequest(Asker(client, "t1", "Li"), purpose, subject, wanted, OPERATION, uses=uses)
    )
    assert receipt.index >= 0
    return done


async def say_yes(
    desk: ConsentDesk, request: UUID, account: str = "head", parts: tuple[str, ...] | None = None, notice: bool = False
) -> ConsentGranted:
    done, _ = await grant_consent(desk, ConsentGrant(me(account), request, OPERATION, parts, notice))
    return done


async def test_from_request_to_withdrawal(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    assert (await world.ask("risk-a", HEAD)).all_withheld("NO_BASIS")
    granted = await say_yes(desk, requested.request_id)
    reply = await world.ask("risk-a", HEAD, parts=list(PARTS))
    assert (reply.parts, reply.basis) == (set(PARTS), granted.consent_id)
    assert (await world.ask("officer-b", HEAD)).all_withheld("NO_BASIS")
    await withdraw_consent(desk, ConsentWithdrawal(me("head"), granted.consent_id, OPERATION))
    assert (await world.ask("risk-a", HEAD)).all_withheld("NO_BASIS")
    (held,) = await my_consents(desk, me("head"))
    assert (held.status, held.uses, held.organisation_id) == ("WITHDRAWN", 1, BANK_A)


async def test_the_answer_to_a_request_is_the_same_for_anybody_and_nobody(world: World, desk: ConsentDesk) -> None:
    answers = [await ask(desk, person) for person in (HEAD, STRANGER, DEAD, CHILD)]
    answers.append(await ask(desk, HEAD, name="别人"))
    assert {answer.state for answer in answers} == {"REQUESTED"}
    assert {await request_state(desk, me("risk-a"), answer.request_id) for answer in answers} == {"REQUESTED"}
    shown = await my_requests(desk, me("head"))
    assert [item.request.request_id for item in shown] == [answers[0].request_id]
    assert "银行11" in shown[0].notice


async def test_the_stored_record_is_signed_and_is_what_is_applied(world: World, desk: ConsentDesk) -> None:
    granted = await say_yes(desk, (await ask(desk, HEAD)).request_id, parts=PARTS[:2])
    row = await world.owner.fetchrow("SELECT terms, signature, protected, digest FROM consent.record")
    assert is_genuine(
        SignedTerms(row["terms"], row["signature"], row["protected"]), world.keys.signing_key(SIGNING_KEY).public_key()
    )
    assert row["digest"].hex() == granted.digest
    basis = await world.owner.fetchrow("SELECT * FROM consent.basis")
    assert json.loads(row["terms"])["parts"] == basis["parts"] == list(PARTS[:2])
    reply = await world.ask("risk-a", HEAD, parts=list(PARTS))
    assert reply.withheld == {"bank.loan/TOTAL": "CATEGORY_NOT_IN_BASIS"}


@pytest.mark.parametrize("statement", ["UPDATE consent.record SET terms = ''", "DELETE FROM consent.event"])
async def test_records_and_events_are_never_changed(world: World, desk: ConsentDesk, statement: str) -> None:
    await say_yes(desk, (await ask(desk, HEAD)).request_id)
    with pytest.raises(asyncpg.PostgresError, match="never changed"):
        await world.owner.execute(statement)


async def test_tax_bands_fall_away_without_the_heightened_notice(world: World, desk: ConsentDesk) -> None:
    parts = ("identity/VALUE", "tax.band/BAND")
    without = await say_yes(desk, (await ask(desk, HEAD, parts=parts)).request_id)
    assert without.parts == ("identity/VALUE",)
    assert (await world.ask("risk-a", HEAD, parts=list(parts))).parts == {"identity/VALUE"}
    with_notice = await say_yes(desk, (await ask(desk, HEAD, parts=parts)).request_id, notice=True)
    assert with_notice.parts == parts
    assert (await world.ask("risk-a", HEAD, parts=list(parts))).parts == set(parts)
    held = await my_consents(desk, me("head"))
    assert {(item.consent_id, item.status) for item in held} == {
        (with_notice.consent_id, "IN_FORCE"), (without.consent_id, "SUPERSEDED"),
    }  # fmt: skip


async def test_nobody_decides_for_another(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    for account, code in (
        ("wife", "REQUEST_NOT_OPEN"), ("child", "NOT_AN_ADULT"), ("collector", "NOT_AN_ADULT"),
        ("steward", "NOT_AN_ADULT"), ("risk-a", "NOT_AN_ADULT"), ("nobody", "NOT_AN_ADULT"),
    ):  # fmt: skip
        with pytest.raises(RefusedError) as refused:
            await say_yes(desk, requested.request_id, account)
        assert refused.value.code == code
        with pytest.raises(RefusedError):
            await refuse_consent(desk, ConsentRefusal(me(account), requested.request_id, OPERATION))
    granted = await say_yes(desk, requested.request_id)
    with pytest.raises(RefusedError) as refused:
        await withdraw_consent(desk, ConsentWithdrawal(me("wife"), granted.consent_id, OPERATION))
    assert refused.value.code == "CONSENT_NOT_IN_FORCE"
    assert (await world.ask("risk-a", HEAD)).person == HEAD.person_id
    assert await world.owner.fetchval("SELECT count(*) FROM consent.event") == 2


async def test_a_refused_request_stays_refused(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    done, _ = await refuse_consent(desk, ConsentRefusal(me("head"), requested.request_id, OPERATION))
    assert done.state == "REFUSED"
    for change in (
        say_yes(desk, requested.request_id),
        refuse_consent(desk, ConsentRefusal(me("head"), requested.request_id, OPERATION)),
    ):
        with pytest.raises(RefusedError) as refused:
            await change
        assert refused.value.code == "REQUEST_NOT_OPEN"
    assert await request_state(desk, me("risk-a"), requested.request_id) == "REFUSED"
    assert (await world.ask("risk-a", HEAD)).all_withheld("NO_BASIS")


async def test_a_request_is_its_own_organisations(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    for request in (requested.request_id, uuid4()):
        with pytest.raises(RefusedError) as refused:
            await request_state(desk, me("officer-b"), request)
        assert refused.value.code == "REQUEST_UNKNOWN"
    assert await request_state(desk, me("officer-a"), requested.request_id) == "REQUESTED"


async def test_nobody_grants_twice_or_more_than_was_asked(desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    with pytest.raises(InputError) as wider:
        await say_yes(desk, requested.request_id, parts=("adverse/VALUE",))
    assert wider.value.code == "PARTS_NOT_ASKED"
    await say_yes(desk, requested.request_id)
    with pytest.raises(RefusedError):
        await say_yes(desk, requested.request_id)


@pytest.mark.parametrize(
    ("client", "parts", "purpose", "code"),
    [
        ("officer-a", ("tax.band/BAND",), Purpose.LOAN_APPLICATION, "PART_NOT_OPEN"),
        ("risk-a", ("clinic.arrears/VALUE",), Purpose.LOAN_APPLICATION, "PART_NOT_OPEN"),
        ("risk-a", ("tax.grade/VALUE",), Purpose.POST_LOAN_REVIEW, "PART_NOT_OPEN"),
        ("risk-a", PARTS, Purpose.CARD_APPLICATION, "PURPOSE_NOT_REGISTERED"),
        ("risk-a", PARTS, Purpose.SUPERVISION, "PURPOSE_WITHOUT_CONSENT"),
        ("risk-a", (), Purpose.LOAN_APPLICATION, "PARTS_MISSING"),
        ("nobody", PARTS, Purpose.LOAN_APPLICATION, "ASKER_REFUSED"),
        ("head", PARTS, Purpose.LOAN_APPLICATION, "ASKER_REFUSED"),
    ],
)
async def test_what_can_never_be_shown_cannot_be_asked_for(
    world: World, desk: ConsentDesk, client: str, parts: tuple[str, ...], purpose: Purpose, code: str
) -> None:
    with pytest.raises(HubError) as refused:
        await ask(desk, HEAD, client, parts, purpose)
    assert refused.value.code == code
    assert await world.owner.fetchval("SELECT count(*) FROM consent.request") == 0
    assert await world.owner.fetchval("SELECT count(*) FROM audit.entry") == 0


async def test_a_revoked_token_changes_nothing(world: World, desk: ConsentDesk) -> None:
    granted = await say_yes(desk, (await ask(desk, HEAD)).request_id)
    await world.owner.execute("INSERT INTO auth.revoked_token VALUES ('t1', now() + interval '1 hour')")
    with pytest.raises(RefusedError):
        await withdraw_consent(desk, ConsentWithdrawal(me("head"), granted.consent_id, OPERATION))
    with pytest.raises(RefusedError):
        await ask(desk, HEAD)
    assert await my_consents(desk, me("head")) == []
    assert await world.owner.fetchval("SELECT status FROM consent.basis") == "IN_FORCE"


async def test_a_request_runs_out(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    later = ConsentDesk(desk.pool, desk.keys, desk.receipts, lambda: system_clock() + timedelta(days=15))
    with pytest.raises(RefusedError):
        await say_yes(later, requested.request_id)
    assert await request_state(later, me("risk-a"), requested.request_id) == "EXPIRED"


async def test_uses_and_days_asked_for_are_the_limit(world: World, desk: ConsentDesk) -> None:
    granted = await say_yes(desk, (await ask(desk, HEAD, uses=1)).request_id)
    assert granted.max_uses == 1
    assert granted.expires_at - granted.effective_from == timedelta(days=30)
    assert (await world.ask("risk-a", HEAD)).parts
    assert (await world.ask("risk-a", HEAD)).withheld["identity/VALUE"] == "QUOTA"


async def test_the_database_refuses_terms_that_differ_from_the_request(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    now: datetime = system_clock()
    terms = {
        "consentId": str(uuid4()), "requestId": str(requested.request_id), "subject": str(HEAD.person_id),
        "recipient": BANK_A, "purpose": "LOAN_APPLICATION", "parts": list(PARTS), "heightenedNotice": False,
        "effectiveFrom": now.isoformat(), "expiresAt": (now + timedelta(days=1)).isoformat(), "maxUses": 1,
    }  # fmt: skip
    for change in (
        {"recipient": BANK_B}, {"subject": str(WIFE.person_id)}, {"purpose": "CARD_APPLICATION"}, {"parts": []},
        {"parts": [*PARTS, "adverse/VALUE"]}, {"expiresAt": (now + timedelta(days=31)).isoformat()}, {"maxUses": 4},
        {"maxUses": None}, {"effectiveFrom": (now - timedelta(days=1)).isoformat()}, {"requestId": str(uuid4())},
        {"subject": None},
    ):  # fmt: skip
        with pytest.raises(asyncpg.PostgresError) as refused:
            await world.app.execute(
                "SELECT consent.grant_request('head', 't1', $1, $2, $3, $4, $5)",
                requested.request_id, json.dumps(terms | change).encode(), bytes(64), now, uuid4(),
            )  # fmt: skip
        assert refused.value.sqlstate == "HB106", change
    assert await world.owner.fetchval("SELECT count(*) FROM consent.basis") == 0


async def test_without_the_outbox_no_consent_changes(world: World, desk: ConsentDesk) -> None:
    requested = await ask(desk, HEAD)
    await world.owner.execute("ALTER TABLE audit.pending ADD CONSTRAINT broken CHECK (kind <> 'consent')")
    for change in (
        say_yes(desk, requested.request_id),
        refuse_consent(desk, ConsentRefusal(me("head"), requested.request_id, OPERATION)),
        ask(desk, WIFE),
    ):
        with pytest.raises(AuditError):
            await change
    assert await world.owner.fetchval("SELECT count(*) FROM consent.basis") == 0
    assert await world.owner.fetchval("SELECT array_agg(state) FROM consent.request") == ["REQUESTED"]


async def test_every_step_stands_in_the_log_under_the_person(world: World, desk: ConsentDesk) -> None:
    granted = await say_yes(desk, (await ask(desk, HEAD)).request_id)
    await withdraw_consent(desk, ConsentWithdrawal(me("head"), granted.consent_id, OPERATION))
    await ask(desk, STRANGER)
    assert await world.owner.fetchval("SELECT audit.subject_count($1)", HEAD.person_id) == 3
    assert await world.owner.fetchval("SELECT count(*) FROM audit.entry") == 4
    verbs = await world.owner.fetch("SELECT verb FROM consent.event ORDER BY event_id")
    assert [row["verb"] for row in verbs] == ["requestConsent", "grantConsent", "withdrawConsent", "requestConsent"]


def test_the_parts_used_here_are_parts() -> None:
    assert [part_key(part_of(key)) for key in PARTS] == list(PARTS)
