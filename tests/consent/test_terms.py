"""The terms of a consent: never more than was asked, never changed, readable."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws
from joserfc.jwk import OKPKey

from hub.access.parts import PARTS, WRITTEN_NOTICE_PARTS, part_key
from hub.consent.notice import HEIGHTENED_NOTICE, PURPOSE_WORDS, needs_written_notice, notice_text
from hub.consent.receipt import PastStep, make_receipt, verify_receipt
from hub.consent.record import SIGNING_KEY, SignedTerms, is_genuine, public_jwk, sign_terms
from hub.consent.terms import Cap, Choice, Evidence, OpenRequest, check_request, make_terms
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError, RefusedError
from hub.core.names import Purpose
from hub.store.keys import FileKeys

KEYS = [part_key(part) for part in PARTS]
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)
EVIDENCE = Evidence("head", "t1")
CAP = Cap(30, 3)


def terms_of(consent: UUID, request: OpenRequest, parts: tuple[str, ...], notice: bool) -> dict[str, Any]:
    return make_terms(consent, request, Choice(parts, notice), evidence=EVIDENCE, cap=CAP, now=NOW)


def open_request(parts: tuple[str, ...]) -> OpenRequest:
    return OpenRequest(
        uuid4(), "402739000011", "芒市农商行", "Mangshi Rural Bank", "BANK_RISK", Purpose.LOAN_APPLICATION, parts,
        "A-17", 30, 3, NOW, NOW + timedelta(days=14), "REQUESTED", uuid4(), "533103",
    )  # fmt: skip


@given(asked=st.sets(st.sampled_from(KEYS), min_size=1), chosen=st.sets(st.sampled_from(KEYS)), notice=st.booleans())
def test_terms_never_cover_more_than_asked_and_chosen(asked: set[str], chosen: set[str], notice: bool) -> None:
    request = open_request(tuple(sorted(asked)))
    kept = {key for key in chosen if notice or not needs_written_notice(key)}
    if not chosen <= asked or not kept:
        with pytest.raises(InputError, match=r"cover more|Nothing is left"):
            terms_of(uuid4(), request, tuple(chosen), notice)
        return
    terms = terms_of(uuid4(), request, tuple(chosen), notice)
    assert set(terms["parts"]) <= asked & chosen
    assert notice or not terms["heightenedParts"]
    assert canonical_bytes(terms)


def test_terms_say_whom_what_for_and_how_long() -> None:
    request = open_request(("identity/VALUE", "tax.band/BAND"))
    consent = UUID(int=7)
    terms = terms_of(consent, request, request.parts, True)
    assert (terms["recipient"], terms["subject"], terms["consentId"]) == (
        "402739000011", str(request.person_id), str(consent),
    )  # fmt: skip
    assert terms["onwardTransfer"] is False
    assert terms["withdrawal"] == ["ONLINE", "COLLECTOR", "PAPER"], "only ways that the hub has"
    assert terms["heightenedNotice"] is True
    assert terms["expiresAt"].startswith("2026-12-01")
    assert terms["maxUses"] == 3


def test_the_same_parts_need_the_written_notice_in_rules_and_in_terms() -> None:
    assert {key for key in KEYS if needs_written_notice(key)} == {part_key(part) for part in WRITTEN_NOTICE_PARTS}


def test_the_notice_is_chinese_first_and_warns_only_where_it_must() -> None:
    plain = notice_text(open_request(("identity/VALUE",)), ("identity/VALUE",))
    heightened = notice_text(open_request(("tax.band/BAND",)), ("tax.band/BAND",))
    assert plain.index("芒市农商行") < plain.index("Mangshi Rural Bank")
    assert "随时撤回" in plain
    assert HEIGHTENED_NOTICE[0] not in plain
    assert HEIGHTENED_NOTICE[0] in heightened
    assert HEIGHTENED_NOTICE[1] in heightened


def test_every_part_and_purpose_has_words() -> None:
    text = notice_text(open_request(tuple(KEYS)), tuple(KEYS))
    assert text.count("（") >= len(KEYS)


@pytest.mark.parametrize(
    ("purpose", "days", "uses", "code"),
    [
        (Purpose.LOAN_APPLICATION, 31, None, "CONSENT_CAP"),
        (Purpose.LOAN_APPLICATION, None, 4, "CONSENT_CAP"),
        (Purpose.LOAN_APPLICATION, 0, None, "CONSENT_CAP"),
        (Purpose.SUPERVISION, None, None, "PURPOSE_WITHOUT_CONSENT"),
        (Purpose.SELF_ACCESS, None, None, "PURPOSE_WITHOUT_CONSENT"),
    ],
)
def test_a_request_beyond_the_cap_is_refused(purpose: Purpose, days: int | None, uses: int | None, code: str) -> None:
    with pytest.raises(InputError) as refused:
        check_request(CAP if purpose in PURPOSE_WORDS else None, purpose, PARTS[:1], days, uses)
    assert refused.value.code == code


def test_a_request_for_less_gets_less() -> None:
    cap = check_request(CAP, Purpose.LOAN_APPLICATION, PARTS[:1], 7, 1)
    assert (cap.days, cap.uses) == (7, 1)


def test_one_changed_byte_breaks_the_signature(keys: FileKeys) -> None:
    request = open_request(("identity/VALUE",))
    record = sign_terms(
        keys,
        terms_of(uuid4(), request, request.parts, False),
    )
    key = keys.signing_key(SIGNING_KEY).public_key()
    assert is_genuine(record, key)
    terms = json.loads(record.terms)
    terms["maxUses"] = 4
    assert not is_genuine(SignedTerms(canonical_bytes(terms), record.signature, record.protected), key)
    assert not is_genuine(SignedTerms(record.terms, record.signature), key)  # a header cannot be left out
    assert not is_genuine(record, keys.signing_key("other").public_key())


def test_an_independent_library_verifies_the_record(keys: FileKeys) -> None:
    request = open_request(("identity/VALUE",))
    record = sign_terms(keys, terms_of(uuid4(), request, request.parts, False))
    assert record.jws is not None
    header, _, signature = record.jws.split(".")
    payload = base64.urlsafe_b64encode(record.terms).rstrip(b"=").decode()
    key = OKPKey.import_key(public_jwk(keys.signing_key(SIGNING_KEY).public_key()))
    found = jws.deserialize_compact(f"{header}.{payload}.{signature}", key, algorithms=["Ed25519"])
    assert found.payload == record.terms


def test_a_record_of_version_1_stays_genuine(keys: FileKeys) -> None:
    text = canonical_bytes({"schemaVersion": 1, "consentId": str(uuid4()), "parts": ["identity/VALUE"]})
    signature = keys.signing_key(SIGNING_KEY).sign(b"hub/consent/v1\0" + text)
    record = SignedTerms(text, signature)
    assert is_genuine(record, keys.signing_key(SIGNING_KEY).public_key())
    receipt = make_receipt(keys, record, "WITHDRAWN", [], NOW)
    assert verify_receipt(json.dumps(receipt)).terms["schemaVersion"] == 1


def any_receipt(keys: FileKeys) -> dict[str, Any]:
    request = open_request(("identity/VALUE", "tax.band/BAND"))
    record = sign_terms(keys, terms_of(uuid4(), request, request.parts, True))
    return make_receipt(keys, record, "IN_FORCE", [PastStep("grantConsent", NOW, None)], NOW)


def test_a_receipt_is_verified_without_the_hub(keys: FileKeys) -> None:
    receipt = any_receipt(keys)
    key = keys.signing_key(SIGNING_KEY).public_key()
    found = verify_receipt(json.dumps(receipt, indent=2), key)
    assert (found.terms, found.state, found.key_is_own) == (receipt["record"], "IN_FORCE", False)
    assert verify_receipt(json.dumps(receipt)).key_is_own
    with pytest.raises(RefusedError):
        verify_receipt(json.dumps(receipt), keys.signing_key("other").public_key())


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r["record"].update(maxUses=99),
        lambda r: r["record"]["parts"].append("bank.loan/VALUE"),
        lambda r: r.update(state="WITHDRAWN"),
        lambda r: r["steps"].clear(),
        lambda r: r.update(issuedAt="2027-01-01T00:00:00+08:00"),
        lambda r: r.update(recordSignature="AA" * 43),
        lambda r: r.update(jws=r["recordSignature"]),
    ],
)
def test_a_changed_receipt_is_refused(keys: FileKeys, change: Callable[[dict[str, Any]], None]) -> None:
    receipt = any_receipt(keys)
    change(receipt)
    with pytest.raises((RefusedError, InputError)):
        verify_receipt(json.dumps(receipt), keys.signing_key(SIGNING_KEY).public_key())


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"jws": 1, "key": {}}', "\x00"])
def test_what_is_no_receipt_is_told_so(text: str) -> None:
    with pytest.raises(InputError) as refused:
        verify_receipt(text)
    assert refused.value.code == "RECEIPT_MALFORMED"


def test_a_damaged_record_gets_no_receipt(keys: FileKeys) -> None:
    record = sign_terms(keys, {"consentId": "x"})
    with pytest.raises(RefusedError) as refused:
        make_receipt(keys, SignedTerms(record.terms + b" ", record.signature, record.protected), "IN_FORCE", [], NOW)
    assert refused.value.code == "CONSENT_DAMAGED"
