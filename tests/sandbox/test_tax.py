import asyncio
import ssl
from typing import Any

import httpx
import pytest

from hub.sandbox.sandbox import Sandbox


def client(sandbox: Sandbox) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(sandbox.keys / "ca.pem"))
    return httpx.AsyncClient(base_url=sandbox.tax.origin, verify=context, trust_env=False)


def secret(sandbox: Sandbox) -> tuple[str, str]:
    names = ("tax_client_id", "tax_client_secret")
    name, password = ((sandbox.keys / file).read_text().strip() for file in names)
    return name, password


async def token(http: httpx.AsyncClient, sandbox: Sandbox) -> dict[str, str]:
    form = {"grant_type": "client_credentials", "scope": "credit.read"}
    answer = await http.post("/oauth2/token", data=form, auth=secret(sandbox))
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 120
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


async def walk(
    http: httpx.AsyncClient, headers: dict[str, str], **first: Any
) -> tuple[list[dict[str, Any]], list[str]]:
    records: list[dict[str, Any]] = []
    watermarks = []
    query: dict[str, Any] = first
    while True:
        answer = (await http.get("/api/v1/taxpayer-records", params=query, headers=headers)).json()
        assert answer["code"] == "0000"
        records += answer["data"]["records"]
        watermarks.append(answer["data"]["high_watermark"])
        if answer["data"]["next_cursor"] is None:
            return records, watermarks
        query = {"cursor": answer["data"]["next_cursor"]}


async def test_a_walk_delivers_every_record_roughly_in_order_with_repeats(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        headers = await token(http, sandbox)
        records, watermarks = await walk(http, headers, limit=50)
        known = len(sandbox.prefecture.tax.records)
        distinct = {str(sorted(r.items(), key=str)) for r in records}
        assert len(distinct) == known
        assert len(records) > known
        assert len(set(watermarks)) == 1
        changed = [r["gxsj"] for r in records]
        assert changed != sorted(changed)
        assert {r["sjlx"] for r in records} == {"DJ", "XY", "QS", "QJ"}
        assert any(r["zfbz"] == "Y" for r in records)
        later, _ = await walk(http, headers, updated_since=watermarks[0], limit=500)
        assert all(r["gxsj"] >= watermarks[0] for r in later)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "limit=x", "updated_since=2026-01-01", "updated_since=x", "cursor=a&limit=5"]
)
async def test_wrong_parameters_are_e1001(sandbox: Sandbox, query: str) -> None:
    async with client(sandbox) as http:
        answer = await http.get(f"/api/v1/taxpayer-records?{query}", headers=await token(http, sandbox))
    assert (answer.status_code, answer.json()) == (200, {"code": "E1001", "msg": "参数错误", "data": None})


async def test_tokens_and_cursors_can_be_taken_away(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        assert (await http.get("/api/v1/taxpayer-records")).status_code == 401
        headers = await token(http, sandbox)
        first = (await http.get("/api/v1/taxpayer-records?limit=5", headers=headers)).json()
        cursor = first["data"]["next_cursor"]
        again = [await http.get("/api/v1/taxpayer-records", params={"cursor": cursor}, headers=headers) for _ in "12"]
        assert again[0].json()["data"]["records"] == again[1].json()["data"]["records"]
        await sandbox.misbehave("tax", expire_cursors=True)
        gone = await http.get("/api/v1/taxpayer-records", params={"cursor": cursor}, headers=headers)
        assert (gone.status_code, gone.json()["code"]) == (200, "E2001")
        await sandbox.misbehave("tax", revoke_token=True)
        refused = await http.get("/api/v1/taxpayer-records", headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "E4010")
        assert (await http.get("/api/v1/taxpayer-records", headers=await token(http, sandbox))).status_code == 200
        await sandbox.misbehave("tax", refuse_client=True)
        form = {"grant_type": "client_credentials"}
        assert (await http.post("/oauth2/token", data=form, auth=secret(sandbox))).status_code == 401


@pytest.mark.parametrize("auth", [("dehong-credit-hub", "wrong"), ("wrong", "x"), None])
async def test_wrong_credentials_get_no_token(sandbox: Sandbox, auth: tuple[str, str] | None) -> None:
    async with client(sandbox) as http:
        answer = await http.post("/oauth2/token", data={"grant_type": "client_credentials"}, auth=auth)
    assert answer.status_code == 401
    assert "access_token" not in answer.text


async def test_the_rate_limit_is_5_per_second_with_bursts_of_10(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        headers = await token(http, sandbox)
        await asyncio.sleep(0)
        await sandbox.misbehave("tax", limit_rate=True)
        answers = await asyncio.gather(
            *(http.get("/api/v1/taxpayer-records?limit=1", headers=headers) for _ in range(18))
        )
        limited = [a for a in answers if a.status_code == 429]
        assert 5 <= len(limited) <= 9
        assert all(int(a.headers["retry-after"]) >= 1 for a in limited)
        await asyncio.sleep(1.05)
        assert (await http.get("/api/v1/taxpayer-records?limit=1", headers=headers)).status_code == 200


async def test_busy_unavailable_and_rubbish_answers(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        headers = await token(http, sandbox)
        await sandbox.misbehave("tax", busy=1, unavailable=1, rubbish=1)
        answers = [await http.get("/api/v1/taxpayer-records?limit=1", headers=headers) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 503, 200, 200]
    assert b"html" in answers[0].content
    assert answers[1].headers["content-type"].startswith("text/html")
    assert answers[2].json() == {"code": "E9000", "msg": "系统忙", "data": None}
    assert answers[3].json()["code"] == "0000"


async def test_both_happen_now_and_then_by_themselves(sandbox: Sandbox) -> None:
    await sandbox.misbehave("tax", busy_every=3, unavailable_every=7)
    async with client(sandbox) as http:
        headers = await token(http, sandbox)
        answers = [await http.get("/api/v1/taxpayer-records?limit=1", headers=headers) for _ in range(14)]
    assert sum(a.status_code == 503 for a in answers) == 2
    assert 3 <= sum(a.status_code == 200 and a.json()["code"] == "E9000" for a in answers) <= 5


async def test_a_service_that_is_down_slow_or_cut(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        headers = await token(http, sandbox)
        await sandbox.misbehave("tax", down=True)
        with pytest.raises(httpx.TransportError):
            await http.get("/api/v1/taxpayer-records", headers=headers)
        await sandbox.misbehave("tax", down=False, slow_seconds=0.3)
        with pytest.raises(httpx.TimeoutException):
            await http.get("/api/v1/taxpayer-records", headers=headers, timeout=0.2)
        await sandbox.misbehave("tax", slow_seconds=0.0, cut_after_bytes=20_000)
        with pytest.raises(httpx.TransportError):
            await http.get("/api/v1/taxpayer-records?limit=500", headers=headers)
        assert (await http.get("/api/v1/taxpayer-records?limit=500", headers=headers)).status_code == 200
        await sandbox.misbehave("tax", cut_after_calls=1)
        assert (await http.get("/api/v1/taxpayer-records?limit=1", headers=headers)).status_code == 200
        with pytest.raises(httpx.TransportError):
            await http.get("/api/v1/taxpayer-records?limit=1", headers=headers)
        assert (await http.get("/api/v1/taxpayer-records?limit=1", headers=headers)).status_code == 200


async def test_a_wrong_certificate_is_somebody_elses(sandbox: Sandbox) -> None:
    await sandbox.misbehave("tax", wrong_identity=True)
    async with client(sandbox) as http:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await http.get("/api/v1/taxpayer-records")
