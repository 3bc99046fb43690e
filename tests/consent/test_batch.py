"""Reading a batch: what a device signs is taken as it is, and everything else is refused at the door with its place."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import OKPKey

from hub.consent.batch import SLIPS_MAX, ConsentSlip, device_key, read_batch
from hub.core.errors import HubError, InputError, RefusedError
from hub.sandbox.device import FieldDevice, content_of

PERSON = ("533103198001010014", "岩罕")
REQUEST = "0190aa00-0000-7000-8000-000000000001"


def yes(device: FieldDevice, **changes: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "witnesses": [("533103197505050517", "岩光")], "form_no": "F-1",
        "evidence": [{"kind": "MASKED_FORM_PHOTO", "mediaType": "image/png", "sha256": "ab" * 32}],
    }  # fmt: skip
    return device.consent(PERSON, REQUEST, ("2026-3", "cd" * 32), ["roster/VALUE"], **facts | changes)


@pytest.mark.parametrize("key", [None, OKPKey.generate_key("Ed25519")])
def test_what_a_device_signs_is_read_as_it_was_meant(key: Any) -> None:
    device = FieldDevice("device-7", key)
    slip = yes(device)
    device.withdrawal(PERSON, "402739000011", "LOAN_APPLICATION")
    batch = read_batch(device.batch())
    batch.check_signature(device.jwk)
    first, second = batch.slips
    assert isinstance(first, ConsentSlip)
    assert (first.person.id_number, first.person.name, first.counter, second.counter) == (*PERSON, 1, 2)
    assert second.previous == batch.hashes[0]
    assert batch.detached.split(".")[1] == ""
    with pytest.raises(RefusedError) as refused:
        batch.check_signature(FieldDevice("device-7").jwk)
    assert refused.value.code == "BATCH_SIGNATURE"
    assert slip["counter"] == 1


SPOILT: list[tuple[dict[str, Any], str]] = [
    ({"note": "x"}, "$.slips[0]"),
    ({"counter": 0}, "$.slips[0].counter"),
    ({"counter": "1"}, "$.slips[0].counter"),
    ({"previous": "xy"}, "$.slips[0].previous"),
    ({"time": "2026-11-20T04:00:00"}, "$.slips[0].time"),
    ({"time": "2026-13-40T04:00:00+08:00"}, "$.slips[0].time"),
    ({"kind": "OTHER"}, "$.slips[0].kind"),
    ({"requestId": "x"}, "$.slips[0].requestId"),
    ({"parts": []}, "$.slips[0].parts"),
    ({"person": {"idNumber": "123", "name": "岩罕"}}, "$.slips[0].person.idNumber"),
    ({"person": {"idNumber": PERSON[0], "name": "岩\u0007罕"}}, "$.slips[0]"),
    ({"evidence": [{"kind": "SELFIE", "mediaType": "image/png", "sha256": "ab" * 32}]}, "$.slips[0].evidence[0].kind"),
    ({"evidence": [{"kind": "MASKED_FORM_SCAN", "mediaType": "application/pdf", "sha256": "ab" * 32}]}, "mediaType"),
    ({"evidence": [{"kind": "SCREEN_SIGNATURE", "mediaType": "image/jpeg", "sha256": "ab" * 32}]}, "mediaType"),
    ({"evidence": [{"kind": "MASKED_FORM_PHOTO", "mediaType": "image/png", "sha256": "ab" * 32}] * 2}, "evidence"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "place"), SPOILT)
def test_what_is_not_as_the_schema_has_it_is_refused_with_its_place_and_no_value(
    change: dict[str, Any], place: str
) -> None:
    device = FieldDevice("d")
    slip = yes(device) | change
    with pytest.raises(InputError) as refused:
        read_batch(device.sign({"version": 1, "device": "d", "slips": [slip]}))
    assert refused.value.code == "BATCH_MALFORMED"
    assert place in str(refused.value)
    assert PERSON[0] not in str(refused.value)
    assert PERSON[1] not in str(refused.value)


def test_only_one_spelling_of_a_batch_is_taken() -> None:
    device = FieldDevice("d")
    content = {"version": 1, "device": "d", "slips": [yes(device)]}
    signed = device.sign(content)
    loose = json.dumps(content, ensure_ascii=False, indent=1).encode()
    other = jws.serialize_compact({"alg": "ES256"}, loose, device.key, algorithms=["ES256"])
    many = {"version": 1, "device": "d", "slips": [yes(device) for _ in range(SLIPS_MAX + 1)]}
    nested = b"[" * 5000 + b"]" * 5000
    deep = f"e30.{urlsafe_b64encode(nested).decode().rstrip('=')}.AA"
    for text in (other, device.sign(many), deep, "", "a.b", "a.b.c", signed * 60, signed + "é", f"{signed}."):
        with pytest.raises(HubError) as refused:
            read_batch(text).check_signature(device.jwk)
        assert refused.value.code in ("BATCH_MALFORMED", "BATCH_SIGNATURE")


def test_a_signature_for_something_else_is_not_taken() -> None:
    device = FieldDevice("d")
    yes(device)
    payload = jws.extract_compact(device.batch().encode()).payload
    good = {"alg": "ES256", "kid": device.key.thumbprint(), "typ": "credit-consent-batch"}
    for header in (good | {"typ": "JWT"}, good | {"kid": "x"}, {"alg": "ES256"}, good | {"jwk": device.jwk}):
        text = jws.serialize_compact(header, payload, device.key, algorithms=["ES256"])
        with pytest.raises(RefusedError):
            read_batch(text).check_signature(device.jwk)
    changed = content_of(device.batch())
    changed["slips"][0]["formNo"] = "F-2"
    head, _, signature = device.batch().split(".")
    body = device.sign(changed).split(".")[1]
    with pytest.raises(RefusedError):
        read_batch(f"{head}.{body}.{signature}").check_signature(device.jwk)


def test_a_device_has_a_public_key_of_the_two_kinds() -> None:
    device = FieldDevice("d")
    device_key(device.jwk)
    for jwk in (
        dict(device.key.as_dict(private=True)), {"kty": "RSA", "n": "AQAB", "e": "AQAB"}, {"kty": "oct", "k": "AA"}, {},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}, {"kty": "EC", "crv": "P-256", "x": "AA"},
    ):  # fmt: skip
        with pytest.raises(InputError) as refused:
            device_key(jwk)
        assert refused.value.code == "DEVICE_KEY"


def test_the_worked_example_of_the_documentation_is_a_good_batch() -> None:
    text = Path("docs/CAPTURE.md").read_text(encoding="utf-8")
    key = json.loads(text.partition("<!-- device key -->\n```json\n")[2].partition("\n```")[0])
    content = json.loads(text.partition("<!-- batch -->\n```json\n")[2].partition("\n```")[0])
    signed = "".join(text.partition("<!-- signed -->\n```text\n")[2].partition("\n```")[0].split())
    batch = read_batch(signed)
    batch.check_signature(key)
    assert content_of(signed) == content
    assert batch.slips[1].previous == batch.hashes[0]
