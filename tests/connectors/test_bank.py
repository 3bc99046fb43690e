"""The bank connector against a real service over mutual TLS: the sample, refusals, key rotation, trouble."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from hub.connectors.agencies import bank as bank_module
from hub.connectors.transport import backoff
from hub.core.clock import iso
from hub.core.errors import SettingsError, SourceError
from hub.core.names import QuarantineReason, RefusalReason
from hub.core.rows import Guarantor, RowKind
from tests.connectors.bank_agency import BANK, SAMPLE, Bank, Signer, bank_service
from tests.connectors.clinic_agency import NOW, SAMPLES, Remembered
from tests.connectors.tls_parties import Authority

CONSENT = json.loads((SAMPLES / f"bank_{SAMPLE[:-3]}").read_text(encoding="utf-8").splitlines()[0])


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.001)
    monkeypatch.setattr(bank_module, "SIGNATURE_WAIT_SECONDS", 0.001)
    monkeypatch.setattr(bank_module, "CALLS_PER_SECOND", 1000)


async def test_the_published_sample_comes_out_as_the_bank_says(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        bank.publish_sample()
        (step,) = await bank.pull()
    assert step.watermark == {"after_seq": 108}
    assert step.file is not None
    assert (step.file.name, str(step.file.business_date), step.file.group) == (SAMPLE, "2026-10-19", None)
    consent, line, loan, overdue, bad = step.rows
    assert (consent.kind, consent.reasons) == (RowKind.CONSENT, ())
    assert consent.source_key == "consent|7d0c5f0e-8a57-4c9e-9d0e-5b8a1f6f2c11"
    assert consent.value == {"granted_on": "2025-03-01", "expires_on": "2028-02-29", "withdrawn_on": None}
    assert (line.source_key, line.reasons) == (f"line|{BANK}|SX0000001", ())
    assert line.value["line_amount"] == "35000.00"
    assert line.consent_id == consent.consent_id
    assert line.source_time is not None
    assert iso(line.source_time) == "2026-10-19T00:00:00+08:00"
    assert (loan.source_key, loan.reasons, loan.adverse) == (f"loan|{BANK}|HT0000001|JJ000000101", (), False)
    assert loan.guarantors == (Guarantor("533121196207053021", None),)
    assert (loan.value["rate_nominal"], loan.value["principal"]) == ("4.35", "30000.00")
    assert overdue.reasons == (QuarantineReason.ADVERSE_NOTICE_MISSING,)
    assert (overdue.dropped, overdue.adverse) == (("account_no",), True)
    assert bad.reasons == (QuarantineReason.CONSENT_MISSING, QuarantineReason.BAD_AMOUNT)
    assert "6217000000000000000" not in repr(step)
    assert {row.origin for row in step.rows} == {f"{SAMPLE} line {number}" for number in range(1, 6)}


async def test_the_published_bad_signature_refuses_the_whole_file_once(tmp_path: Path) -> None:
    memory = Remembered()
    async with bank_service(tmp_path) as bank:
        bank.publish_sample(".bad.jws")
        (step,) = await bank.pull(memory=memory)
        again = await bank.pull(memory=memory)
        later = await bank.pull(step.watermark, memory=memory)
    assert step.refused is not None
    assert (step.refused.name, step.refused.reason) == (SAMPLE, RefusalReason.SIGNATURE_INVALID)
    assert (step.rows, step.file, step.watermark) == ((), None, {"after_seq": 108})
    assert [(s.refused, s.rows, s.watermark) for s in again] == [(None, (), {"after_seq": 108})]
    assert later == []


async def test_files_come_in_order_over_several_lists(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        bank.page_length = 2
        names = [bank.publish(seq, [CONSENT]) for seq in (3, 7, 8, 20, 21)]
        steps = await bank.pull()
        more = await bank.pull({"after_seq": 8})
    assert [step.file.name for step in steps if step.file] == names
    assert [step.watermark for step in steps] == [{"after_seq": seq} for seq in (3, 7, 8, 20, 21)]
    assert [step.file.name for step in more if step.file] == names[3:]


def _without_signature(bank: Bank, name: str) -> None:
    del bank.files[f"{name}.jws"]


def _other_bytes(bank: Bank, name: str) -> None:
    bank.files[name] = gzip.compress(b"{}\n")


def _resigned(**changes: Any):
    def change(bank: Bank, name: str) -> None:
        header = {k: v for k, v in (bank.signer.header(name, "2026-10-19") | changes).items() if v != "absent"}
        bank.files[f"{name}.jws"] = bank.signer.sign(bank.files[name], header)

    return change


def _content(data: bytes):
    def change(bank: Bank, name: str) -> None:
        bank.files[name] = data
        bank.files[f"{name}.jws"] = bank.signer.sign(data, bank.signer.header(name, "2026-10-19"))

    return change


def _signature(text: bytes):
    def change(bank: Bank, name: str) -> None:
        bank.files[f"{name}.jws"] = text

    return change


def _foreign_key(bank: Bank, name: str) -> None:
    bank.files[f"{name}.jws"] = Signer("2026a").sign(bank.files[name], bank.signer.header(name, "2026-10-19"))


def _key_set(**changes: Any):
    def change(bank: Bank, _: str) -> None:
        bank.key_sets = [{"keys": [bank.signer.jwk(**changes)]}]

    return change


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_without_signature, "CONTROL_MISSING"),
        (_other_bytes, "SIGNATURE_INVALID"),
        (_foreign_key, "SIGNATURE_INVALID"),
        (_resigned(alg="none"), "SIGNATURE_INVALID"),
        (_resigned(alg="HS256"), "SIGNATURE_INVALID"),
        (_resigned(b64=True), "SIGNATURE_INVALID"),
        (_resigned(b64="absent"), "SIGNATURE_INVALID"),
        (_resigned(crit=["b64", "exp"]), "SIGNATURE_INVALID"),
        (_resigned(crit="absent"), "SIGNATURE_INVALID"),
        (_resigned(kid="1999z"), "SIGNATURE_INVALID"),
        (_resigned(kid=5), "SIGNATURE_INVALID"),
        (_resigned(fn="CREDIT_402739000011_20261019_9.jsonl.gz"), "SIGNATURE_INVALID"),
        (_resigned(bd="2026-10-18"), "SIGNATURE_INVALID"),
        (_resigned(jku="https://example.org/keys"), "SIGNATURE_INVALID"),
        (_signature(b""), "SIGNATURE_INVALID"),
        (_signature(b"a..b"), "SIGNATURE_INVALID"),
        (_signature(b"\xff..\xff"), "SIGNATURE_INVALID"),
        (_signature(b"x" * 20_000), "SIGNATURE_INVALID"),
        (_key_set(use="enc"), "SIGNATURE_INVALID"),
        (_key_set(crv="Ed448"), "SIGNATURE_INVALID"),
        (_key_set(x="AAAA"), "SIGNATURE_INVALID"),
        (_content(b"no gzip at all"), "ENCODING_INVALID"),
        (_content(gzip.compress(b"{}\n")[:-4]), "ENCODING_INVALID"),
        (_content(gzip.compress("{}\n".encode("utf-16"))), "ENCODING_INVALID"),
        (_content(gzip.compress(b"{}\n{}\n")), "COUNT_MISMATCH"),
        (_content(gzip.compress(b"")), "COUNT_MISMATCH"),
    ],
)
async def test_a_spoilt_file_is_refused_and_the_next_one_read(tmp_path: Path, spoil, reason: str) -> None:
    async with bank_service(tmp_path) as bank:
        name = bank.publish(1, [CONSENT])
        sound = bank.publish(2, [CONSENT])
        spoil(bank, name)
        refused, read = await bank.pull()
    assert refused.refused is not None
    assert (refused.refused.name, refused.refused.reason.value, refused.rows) == (name, reason, ())
    assert read.file is None or read.file.name == sound
    assert read.watermark == {"after_seq": 2}


async def test_a_signature_may_be_late_by_two_attempts(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        name = bank.publish(1, [CONSENT])
        bank.trouble[f"{name}.jws"] = [JSONResponse({}, 404), JSONResponse({}, 404)]
        (step,) = await bank.pull()
    assert len(step.rows) == 1
    assert bank.requests.count(f"{name}.jws") == 3


async def test_a_rotated_key_is_fetched_once_in_five_minutes(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        old, new = bank.signer, Signer("2026b")
        bank.publish(1, [CONSENT])
        bank.signer = new
        bank.publish(2, [CONSENT])
        bank.signer = Signer("unknown")
        bank.publish(3, [CONSENT])
        bank.publish(4, [CONSENT])
        bank.key_sets = [{"keys": [old.jwk()]}, {"keys": [old.jwk(), new.jwk()]}]
        steps = await bank.pull()
    assert [step.file is not None for step in steps] == [True, True, False, False]
    assert bank.requests.count("jwks") == 2


async def test_a_file_not_yet_replicated_is_tried_again(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        name = bank.publish(1, [CONSENT])
        bank.trouble[name] = [JSONResponse({}, 404), Response(status_code=503), JSONResponse({}, 429)]
        (step,) = await bank.pull(max_retries=3)
    assert len(step.rows) == 1


async def test_a_file_that_never_comes_stops_the_source_before_it(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        bank.publish(1, [CONSENT])
        missing = bank.publish(2, [CONSENT])
        bank.publish(3, [CONSENT])
        del bank.files[missing]
        connector = bank.connector()
        walk = connector.pull(None, Remembered(), lambda: NOW)
        first = await anext(walk)
        with pytest.raises(SourceError, match=f"{missing} is listed by the bank but not there yet"):
            await anext(walk)
        await connector.close()
    assert first.watermark == {"after_seq": 1}


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "../../etc/passwd"},
        {"name": "a b"},
        {"seq": "1"},
        {"business_date": "19.10.2026"},
        {"rows": None},
    ],
)
async def test_a_list_that_lies_about_its_form_is_one_sentence(tmp_path: Path, entry: dict[str, Any]) -> None:
    async with bank_service(tmp_path) as bank:
        bank.publish(1, [CONSENT], **entry)
        with pytest.raises(SourceError, match="the list of files"):
            await bank.pull()
    assert [request for request in bank.requests if request] == []


async def test_a_hub_with_an_unknown_certificate_gets_one_clear_sentence(tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    certificate, key = stranger.issue("stranger-hub")
    async with bank_service(tmp_path) as bank:
        bank.publish(1, [CONSENT])
        with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
            await bank.pull(client_cert_file=certificate, client_key_file=key)
        with pytest.raises(SourceError, match="is not trusted"):
            await bank.pull(ca_file=stranger.ca_file)
    assert bank.requests == []


async def test_unusable_key_files_are_settings_errors(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        rubbish = tmp_path / "rubbish.pem"
        rubbish.write_text("rubbish")
        for key in ("ca_file", "client_cert_file", "client_key_file"):
            with pytest.raises(SettingsError, match=f"`{key}`"):
                bank.connector(**{key: rubbish})
            with pytest.raises(SettingsError, match=f"`{key}`"):
                bank.connector(**{key: tmp_path / "none.pem"})


async def test_a_large_file_comes_in_steps_of_which_the_last_one_ends_it(tmp_path: Path) -> None:
    async with bank_service(tmp_path) as bank:
        name = bank.publish(1, [{"rt": str(number)} for number in range(9_001)])
        steps = await bank.pull()
    assert all(step.file is not None and step.file.name == name for step in steps)
    assert [step.file_ended for step in steps] == [False] * (len(steps) - 1) + [True]
    assert [step.watermark for step in steps] == [None] * (len(steps) - 1) + [{"after_seq": 1}]
    assert max(len(step.rows) for step in steps) < 2 * bank_module.ROWS_PER_STEP
    origins = [row.origin for step in steps for row in step.rows]
    assert origins == [f"{name} line {number}" for number in range(1, 9_002)]


async def test_a_list_of_files_that_never_ends_stops_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_module, "FILES_MAX", 3)
    async with bank_service(tmp_path) as bank:
        for seq in range(1, 6):
            bank.publish(seq, [CONSENT])
        with pytest.raises(SourceError, match="does not end"):
            await bank.pull()
