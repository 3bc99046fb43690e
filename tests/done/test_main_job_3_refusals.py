"""Every reason to refuse a whole file, over the real protocols; nothing of a refused file is used."""

import gzip
import hashlib
from typing import Any

import pytest

from hub.connectors.agencies import bank as bank_connector
from hub.core.names import RefusalReason
from tests.connectors.bank_agency import Signer
from tests.connectors.clinic_agency import CLINIC
from tests.connectors.clinic_agency import line as clinic_line
from tests.done.agencies import Agencies
from tests.done.cases_bank_clinic import BUSINESS_DATE, CLINIC_DAY, consent, line
from tests.done.outcomes import assert_counts_add_up, assert_nothing_new, reasons
from tests.done.samples import HubUnderTest

CLINIC_CASES = [
    ("CONTROL_MISSING", "no control file"),
    ("CONTROL_MISSING", "a key is missing"),
    ("CONTROL_MISSING", "another file's control"),
    ("HASH_MISMATCH", "cut short"),
    ("HASH_MISMATCH", "wrong length"),
    ("ENCODING_INVALID", "not GB 18030"),
    ("FORMAT_INVALID", "a column is missing"),
    ("COUNT_MISMATCH", "a line too many"),
    ("TOTAL_MISMATCH", "wrong sum"),
    ("COUNT_MISMATCH", "count before sum"),
]
BANK_CASES = [
    ("CONTROL_MISSING", "no signature"),
    ("SIGNATURE_INVALID", "another signer"),
    ("SIGNATURE_INVALID", "another file's signature"),
    ("SIGNATURE_INVALID", "altered bytes"),
    ("ENCODING_INVALID", "not gzip"),
    ("ENCODING_INVALID", "not UTF-8"),
    ("COUNT_MISMATCH", "a line too few"),
]


def test_no_refusal_is_left_out() -> None:
    assert {reason for reason, _ in CLINIC_CASES + BANK_CASES} == set(RefusalReason)


def _spoil_clinic(agencies: Agencies, what: str, name: str) -> None:
    """Spoil a sound list in one way."""
    path = agencies.clinic.outbox / CLINIC / name.split("_")[2] / name
    control, data = path.with_suffix(".ctl"), path.read_bytes()

    def put(changed: bytes) -> None:
        agencies.clinic.put(name, changed, RECORDS="1", AMOUNT_TOTAL="60.00")

    def replace(old: str, new: str) -> None:
        control.write_text(control.read_text("ascii").replace(old, new), "ascii")

    match what:
        case "no control file":
            control.unlink()
        case "a key is missing":
            replace("RECORDS=1\n", "")
        case "another file's control":
            replace("FILE=ARR", "FILE=OLD")
        case "cut short":
            path.write_bytes(data[:-9])
        case "wrong length":
            replace(f"BYTES={len(data)}", f"BYTES={len(data) + 1}")
        case "not GB 18030":
            put(data + b"\xff\xff\r\n")
        case "a column is missing":
            put(data.replace("结清日期".encode("gb18030"), "结清日".encode("gb18030")))
        case "a line too many":
            replace("RECORDS=1", "RECORDS=2")
        case "wrong sum":
            replace("AMOUNT_TOTAL=60.00", "AMOUNT_TOTAL=60.01")
        case "count before sum":
            replace("RECORDS=1", "RECORDS=0")
            replace("AMOUNT_TOTAL=60.00", "AMOUNT_TOTAL=0.00")
        case _:
            raise AssertionError(what)


async def test_clinic_lists(hub: HubUnderTest, agencies: Agencies) -> None:
    expected = []
    for number, (reason, what) in enumerate(CLINIC_CASES, start=1):
        name = agencies.put_clinic_list(
            f"202610{number:02}", [clinic_line(欠费单号=f"R{number}", 结算日期="2026-09-01")]
        )
        _spoil_clinic(agencies, what, name)
        expected.append({"name": name, "reason": reason})
    agencies.put_clinic_list(CLINIC_DAY, [clinic_line()])
    agencies.put_clinic_list("20261019", [clinic_line(欠费单号="R99")], marked=False)
    report = await hub.pull(*agencies.sources("clinic"))
    clinic = report["sources"]["clinic"]
    assert (report["exit_code"], clinic["status"], clinic["error"]) == (1, "PARTIAL", None)
    assert sorted(clinic["files"]["refused"], key=lambda file: str(file["name"])) == expected
    assert (clinic["fetched"], clinic["accepted"], clinic["files"]["processed"]) == (1, 1, 1)
    assert await reasons(hub) == {}
    again = await hub.pull(*agencies.sources("clinic"))
    assert_nothing_new(again)
    assert (again["exit_code"], again["sources"]["clinic"]["status"]) == (0, "OK")


async def test_a_repaired_clinic_list_is_read(hub: HubUnderTest, agencies: Agencies) -> None:
    """A refused list is reported again when its bytes are other but still wrong, and read once they are right."""
    name = agencies.put_clinic_list(CLINIC_DAY, [clinic_line()], AMOUNT_TOTAL="1.00")
    first = await hub.pull(*agencies.sources("clinic"))
    agencies.put_clinic_list(CLINIC_DAY, [clinic_line()], RECORDS="3")
    second = await hub.pull(*agencies.sources("clinic"))
    agencies.put_clinic_list(CLINIC_DAY, [clinic_line()])
    third = await hub.pull(*agencies.sources("clinic"))
    refused = [run["sources"]["clinic"]["files"]["refused"] for run in (first, second, third)]
    assert refused == [[{"name": name, "reason": "TOTAL_MISMATCH"}], [{"name": name, "reason": "COUNT_MISMATCH"}], []]
    assert third["sources"]["clinic"]["accepted"] == 1


def _spoil_bank(agencies: Agencies, what: str, name: str, other: str) -> None:
    """Spoil a sound file in one way."""
    bank = agencies.bank
    data, signature = bank.files[name], f"{name}.jws"

    def sign(changed: bytes) -> None:
        bank.files[name], bank.files[signature] = (
            changed,
            bank.signer.sign(changed, bank.signer.header(name, BUSINESS_DATE)),
        )

    match what:
        case "no signature":
            del bank.files[signature]
        case "another signer":
            bank.files[signature] = Signer(bank.signer.kid).sign(data, bank.signer.header(name, BUSINESS_DATE))
        case "another file's signature":
            bank.files[signature] = bank.signer.sign(data, bank.signer.header(other, BUSINESS_DATE))
        case "altered bytes":
            bank.files[name] = gzip.compress(gzip.decompress(data).replace(b"3.5", b"9.5"))
        case "not gzip":
            sign(gzip.decompress(data))
        case "not UTF-8":
            sign(gzip.compress(gzip.decompress(data).replace("岩".encode(), b"\xd1\xd2")))
        case "a line too few":
            sign(gzip.compress(gzip.decompress(data).split(b"\n")[0] + b"\n"))
        case _:
            raise AssertionError(what)


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_connector, "SIGNATURE_WAIT_SECONDS", 0.01)


@pytest.mark.long
@pytest.mark.usefixtures("_short_waits")
async def test_bank_files(hub: HubUnderTest, agencies: Agencies) -> None:
    expected: list[dict[str, Any]] = []
    sound = agencies.put_bank_file(1, BUSINESS_DATE, [consent()])
    for number, (reason, what) in enumerate(BANK_CASES, start=2):
        name = agencies.put_bank_file(number, BUSINESS_DATE, [line(number), line(number + 100)])
        _spoil_bank(agencies, what, name, sound)
        expected.append({"name": name, "reason": reason})
    report = await hub.pull(*agencies.sources("bank"))
    bank = report["sources"]["bank"]
    assert (report["exit_code"], bank["status"]) == (1, "PARTIAL")
    assert bank["files"] == {"processed": 1, "refused": expected}
    assert (bank["fetched"], bank["accepted"]) == (1, 1), "no row of a refused file is used"
    assert_counts_add_up(report)
    assert_nothing_new(await hub.pull(*agencies.sources("bank")))
    repaired = agencies.put_bank_file(20, BUSINESS_DATE, [line(2), line(3)])
    after = await hub.pull(*agencies.sources("bank"))
    assert after["sources"]["bank"]["files"] == {"processed": 1, "refused": []}, repaired
    assert after["sources"]["bank"]["accepted"] == 2


async def test_the_first_refusal_wins(hub: HubUnderTest, agencies: Agencies) -> None:
    """A list that breaks every check is refused for the first of them."""
    agencies.put_clinic_list("20261001", [clinic_line(结算日期="2026-09-01")], FILE="x", BYTES="1", RECORDS="9")
    data = b"\xff\xff\r\n"
    agencies.clinic.put(f"ARR_{CLINIC}_20261002_01.csv", data, SHA256=hashlib.sha256(b"").hexdigest(), RECORDS="9")
    agencies.clinic.put(f"ARR_{CLINIC}_20261003_01.csv", data, RECORDS="9", AMOUNT_TOTAL="9.00")
    agencies.clinic.put(f"ARR_{CLINIC}_20261004_01.csv", b"a,b\r\n", RECORDS="9", AMOUNT_TOTAL="9.00")
    report = await hub.pull(*agencies.sources("clinic"))
    found = {file["name"].split("_")[2]: file["reason"] for file in report["sources"]["clinic"]["files"]["refused"]}
    assert found == {
        "20261001": "CONTROL_MISSING", "20261002": "HASH_MISMATCH", "20261003": "ENCODING_INVALID",
        "20261004": "FORMAT_INVALID",
    }  # fmt: skip
