import asyncio
import gzip
import itertools
import json
import ssl
import warnings
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.errors import BadSignatureError, SecurityWarning
from joserfc.jwk import KeySet

from hub.core.names import RefusalReason
from hub.sandbox.sandbox import Sandbox


def client(sandbox: Sandbox, bank: str, own: str | None = None) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(sandbox.keys / "ca.pem"))
    if own is not None:
        context.load_cert_chain(sandbox.keys / f"{own}_client.pem", sandbox.keys / f"{own}_client.key")
    return httpx.AsyncClient(base_url=sandbox.banks[bank].origin, verify=context, trust_env=False)


async def listing(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    while True:
        after = f"?after_seq={files[-1]['seq']}" if files else ""
        answer = (await http.get(f"/v1/exports{after}")).json()
        if not answer["files"]:
            assert files[-1]["seq"] == answer["latest_seq"]
            return files
        assert len(answer["files"]) <= 50
        files += answer["files"]


async def verified(http: httpx.AsyncClient, name: str, content: bytes) -> dict[str, Any]:
    signature = (await http.get(f"/v1/exports/{name}.jws")).text
    keys = KeySet.import_key_set((await http.get("/.well-known/jwks.json")).json())
    assert [bool(part) for part in signature.split(".")] == [True, False, True]
    registry = jws.JWSRegistry(algorithms=["EdDSA"], strict_check_header=False)
    with warnings.catch_warnings():  # the interface fixes the old name EdDSA, which RFC 9864 replaces
        warnings.simplefilter("ignore", SecurityWarning)
        checked = jws.deserialize_compact(signature.encode(), keys, payload=content, registry=registry)
    return dict(checked.protected)


@pytest.mark.parametrize("bank", ["bank_rcb", "bank_vb"])
async def test_listed_files_verify_and_hold_the_rows_they_say(sandbox: Sandbox, bank: str) -> None:
    refused = sandbox.prefecture.truth.refused_files(bank)
    kids = set()
    async with client(sandbox, bank, bank) as http:
        files = await listing(http)
        assert [f["seq"] for f in files] == sorted({f["seq"] for f in files})
        assert any(b["seq"] - a["seq"] > 1 for a, b in itertools.pairwise(files))
        for file in files:
            content = (await http.get(f"/v1/exports/{file['name']}")).content
            assert len(content) == file["bytes"]
            if file["name"] in refused:
                assert any(f["replaces"] == file["name"] for f in files)
                continue
            header = await verified(http, file["name"], content)
            assert header["fn"] == file["name"]
            assert header["bd"] == file["business_date"]
            assert header["crit"] == ["b64"]
            assert header["b64"] is False
            kids.add(header["kid"])
            assert len(gzip.decompress(content).splitlines()) == file["rows"]
    assert len(kids) >= 2, "keys rotate; another test of this world may have let one more day pass"
    assert set(refused.values()) == {
        "CONTROL_MISSING",
        "SIGNATURE_INVALID",
        "ENCODING_INVALID",
        "COUNT_MISMATCH",
    }


async def test_each_damaged_file_is_damaged_as_it_says(sandbox: Sandbox) -> None:
    bank = "bank_rcb"
    by_reason = {reason: name for name, reason in sandbox.prefecture.truth.refused_files(bank).items()}
    async with client(sandbox, bank, bank) as http:
        rows = {f["name"]: f["rows"] for f in await listing(http)}
        missing = by_reason[RefusalReason.CONTROL_MISSING]
        assert (await http.get(f"/v1/exports/{missing}.jws")).status_code == 404
        forged = by_reason[RefusalReason.SIGNATURE_INVALID]
        with pytest.raises(BadSignatureError):
            await verified(http, forged, (await http.get(f"/v1/exports/{forged}")).content)
        encoded = (await http.get(f"/v1/exports/{by_reason[RefusalReason.ENCODING_INVALID]}")).content
        with pytest.raises(gzip.BadGzipFile):
            gzip.decompress(encoded)
        counted = by_reason[RefusalReason.COUNT_MISMATCH]
        content = (await http.get(f"/v1/exports/{counted}")).content
        assert len(gzip.decompress(content).splitlines()) != rows[counted]


@pytest.mark.parametrize("own", [None, "bank_vb"])
async def test_without_the_banks_own_client_certificate_nothing_is_served(sandbox: Sandbox, own: str | None) -> None:
    async with client(sandbox, "bank_rcb", own) as http:
        with pytest.raises(httpx.TransportError):
            await http.get("/v1/exports")


async def test_rows_are_repeated_and_consents_come_before_use(sandbox: Sandbox) -> None:
    seen: set[str] = set()
    repeats = unknown = 0
    lines: set[str] = set()
    wrong = {q.source_key for q in sandbox.prefecture.truth.quarantined if q.source == "bank_rcb"}
    for file in sandbox.prefecture.banks["bank_rcb"].files:
        if file.refusal is not None:
            continue
        for line in gzip.decompress(file.content).decode().splitlines():
            repeats += line in lines
            lines.add(line)
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if row["rt"] == "CONSENT":
                seen.add(row["consent_id"])
            elif row["op"] == "U" and row["consent_id"] not in seen:
                unknown += 1
                key = [row.get(n) for n in ("line_no", "contract_no", "receipt_no")]
                assert any(part and part in k for part in key for k in wrong)
    assert repeats > 0
    assert unknown > 0


async def test_the_rate_limit_and_other_problems_are_problem_documents(sandbox: Sandbox) -> None:
    async with client(sandbox, "bank_rcb", "bank_rcb") as http:
        absent = await http.get("/v1/exports/NO_SUCH_FILE.jsonl.gz")
        assert absent.status_code == 404
        assert absent.headers["content-type"] == "application/problem+json"
        assert (await http.get("/v1/exports?after_seq=x")).status_code == 400
        await sandbox.misbehave("bank_rcb", limit_rate=True)
        answers = await asyncio.gather(*(http.get("/.well-known/jwks.json") for _ in range(25)))
    limited = [a for a in answers if a.status_code == 429]
    assert 5 <= len(limited) <= 15
    assert all(int(a.headers["retry-after"]) >= 1 for a in limited)


async def test_misbehaviour_of_files_and_keys(sandbox: Sandbox) -> None:
    bank = "bank_vb"
    name = next(f.name for f in reversed(sandbox.prefecture.banks[bank].files) if f.refusal is None)
    async with client(sandbox, bank, bank) as http:
        whole = (await http.get(f"/v1/exports/{name}")).content
        before = (await verified(http, name, whole))["kid"]
        await sandbox.misbehave(bank, rotate_key=True)
        assert (await verified(http, name, whole))["kid"] != before
        await sandbox.misbehave(bank, bad_signature=True)
        with pytest.raises(BadSignatureError):
            await verified(http, name, whole)
        await sandbox.misbehave(bank, bad_signature=False, truncated=True, not_replicated=1, wrong_count=True)
        assert (await http.get(f"/v1/exports/{name}")).status_code == 404
        assert (await http.get(f"/v1/exports/{name}")).content == whole[: len(whole) // 2]
        listed = {f["name"]: f["rows"] for f in await listing(http)}
        assert listed[name] == len(gzip.decompress(whole).splitlines()) + 1
        await sandbox.misbehave(bank, missing_signature=True)
        assert (await http.get(f"/v1/exports/{name}.jws")).status_code == 404
