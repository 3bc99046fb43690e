"""The terms of a consent: never more than was asked, never changed, readable."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.access.parts import PARTS, WRITTEN_NOTICE_PARTS, part_key
from hub.consent.record import SIGNING_KEY, SignedTerms, is_genuine, sign_terms
from hub.consent.terms import (
    CAPS,
    HEIGHTENED_NOTICE,
    PURPOSE_WORDS,
    Evidence,
    OpenRequest,
    check_request,
    make_terms,
    needs_written_notice,
    notice_text,
)
from hub.core.canonical import canonical_bytes
from hub.core.errors import InputError
from hub.core.names import Purpose
from hub.store.keys import FileKeys

KEYS = [part_key(part) for part in PARTS]
NOW = datetime(2026, 11, 1, 9, tzinfo=UTC)
EVIDENCE = Evidence("head", "t1")


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
            make_terms(uuid4(), request, tuple(chosen), heightened_notice=notice, evidence=EVIDENCE, now=NOW)
        return
    terms = make_terms(uuid4(), request, tuple(chosen), heightened_notice=notice, evidence=EVIDENCE, now=NOW)
    assert set(terms["parts"]) <= asked & chosen
    assert notice or not terms["heightenedParts"]
    assert canonical_bytes(terms)


def test_terms_say_whom_what_for_and_how_long() -> None:
    request = open_request(("identity/VALUE", "tax.band/BAND"))
    consent = UUID(int=7)
    terms = make_terms(consent, request, request.parts, heightened_notice=True, evidence=EVIDENCE, now=NOW)
    assert (terms["recipient"], terms["subject"], terms["consentId"]) == (
        "402739000011", str(request.person_id), str(consent),
    )  # fmt: skip
    assert terms["onwardTransfer"] is False
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
    assert set(PURPOSE_WORDS) == set(CAPS)


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
        check_request(purpose, PARTS[:1], days, uses)
    assert refused.value.code == code


def test_a_request_for_less_gets_less() -> None:
    cap = check_request(Purpose.LOAN_APPLICATION, PARTS[:1], 7, 1)
    assert (cap.days, cap.uses) == (7, 1)


def test_one_changed_byte_breaks_the_signature(keys: FileKeys) -> None:
    request = open_request(("identity/VALUE",))
    record = sign_terms(
        keys,
        make_terms(uuid4(), request, request.parts, heightened_notice=False, evidence=EVIDENCE, now=NOW),
    )
    key = keys.signing_key(SIGNING_KEY).public_key()
    assert is_genuine(record, key)
    terms = json.loads(record.terms)
    terms["maxUses"] = 4
    assert not is_genuine(SignedTerms(canonical_bytes(terms), record.signature), key)
    assert not is_genuine(record, keys.signing_key("other").public_key())
