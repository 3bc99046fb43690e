import asyncio
import base64
import hashlib
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import requests
import zeep
from lxml import etree
from zeep.transports import Transport
from zeep.wsse.username import UsernameToken

from hub.sandbox.agencies.civil import PATH
from hub.sandbox.feeds.civil import CivilRow
from hub.sandbox.sandbox import Sandbox

NS = {"s": "http://schemas.xmlsoap.org/soap/envelope/", "t": "urn:dh-mz:credit:1"}
ENVELOPE = """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header>
<w:Security xmlns:w="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
 xmlns:u="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"><w:UsernameToken>
<w:Username>{user}</w:Username><w:Password Type="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest">{digest}</w:Password>
<w:Nonce>{nonce}</w:Nonce><u:Created>{created}</u:Created></w:UsernameToken></w:Security></s:Header>
<s:Body><{operation} xmlns="urn:dh-mz:credit:1">{query}</{operation}></s:Body></s:Envelope>"""


def account(sandbox: Sandbox) -> tuple[str, str]:
    names = ("civil_username", "civil_password")
    user, password = ((sandbox.keys / file).read_text().strip() for file in names)
    return user, password


def message(
    sandbox: Sandbox, operation: str, query: str, *, nonce: bytes | None = None, shift: float = 0, password: str = ""
) -> str:
    user, right = account(sandbox)
    raw = nonce or secrets.token_bytes(16)
    created = (datetime.now(UTC) + timedelta(seconds=shift)).isoformat(timespec="seconds").replace("+00:00", "Z")
    digest = hashlib.sha1(raw + created.encode() + (password or right).encode()).digest()
    return ENVELOPE.format(
        user=user,
        digest=base64.b64encode(digest).decode(),
        nonce=base64.b64encode(raw).decode(),
        created=created,
        operation=operation,
        query=query,
    )


def client(sandbox: Sandbox) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(sandbox.keys / "ca.pem"))
    return httpx.AsyncClient(verify=context, trust_env=False, base_url=sandbox.civil.origin)


async def call(http: httpx.AsyncClient, body: str) -> tuple[int, etree._Element]:
    answer = await http.post(PATH, content=body.encode(), headers={"Content-Type": "text/xml; charset=utf-8"})
    assert answer.headers["content-type"].startswith("text/xml")
    return answer.status_code, etree.fromstring(answer.content)


def fault(answer: tuple[int, etree._Element]) -> str:
    assert answer[0] == 500
    code: str = answer[1].findtext("s:Body/s:Fault/detail/t:errorCode", namespaces=NS)
    return code


def zeep_pages(sandbox: Sandbox, operation: str) -> list[Any]:
    """All pages of one operation by a client that knows nothing but the served WSDL."""
    session = requests.Session()
    session.verify = str(sandbox.keys / "ca.pem")
    session.trust_env = False
    user, password = account(sandbox)
    pages: list[Any] = []
    with session:
        soap = zeep.Client(
            f"{sandbox.civil.origin}{PATH}?wsdl",
            transport=Transport(session=session),
            wsse=UsernameToken(user, password, use_digest=True),
        )
        query: dict[str, Any] = {"pageNo": 1, "pageSize": 200}
        while True:
            page = getattr(soap.service, operation)(**query)
            pages.append(page)
            query |= {"snapshotId": page.snapshotId, "pageNo": query["pageNo"] + 1}
            if query["pageNo"] * 200 > page.total + 400:
                return pages


@pytest.mark.parametrize(
    ("operation", "element", "key"),
    [
        ("QueryHouseholds", "household", "hubh"),
        ("QueryMembers", "member", "cybh"),
        ("QueryRelief", "relief", "jzbh"),
        ("QueryEvents", "event", "sjbh"),
    ],
)
async def test_the_served_wsdl_is_enough_to_read_everything(
    sandbox: Sandbox, operation: str, element: str, key: str
) -> None:
    pages = await asyncio.to_thread(zeep_pages, sandbox, operation)
    rows = [row for page in pages for row in page[element]]
    feed = sandbox.prefecture.civil
    known: list[CivilRow] = {
        "household": feed.households,
        "member": feed.members,
        "relief": feed.relief,
        "event": feed.events,
    }[element]
    assert [row[key] for row in rows] == [row.key for row in known]
    assert len({(page.snapshotId, page.total) for page in pages}) == 1
    assert pages[0].total == len(rows)
    assert not pages[-1][element]
    assert [page.pageNo for page in pages] == list(range(1, len(pages) + 1))


async def test_security_headers_are_checked(sandbox: Sandbox) -> None:
    query = "<pageNo>1</pageNo><pageSize>5</pageSize>"
    async with client(sandbox) as http:
        nonce = secrets.token_bytes(16)
        first = message(sandbox, "QueryRelief", query, nonce=nonce)
        assert (await call(http, first))[0] == 200
        assert fault(await call(http, first)) == "CA-1001"
        for wrong in (
            message(sandbox, "QueryRelief", query, shift=-330),
            message(sandbox, "QueryRelief", query, shift=330),
            message(sandbox, "QueryRelief", query, password="wrong"),
            message(sandbox, "QueryRelief", query).replace("PasswordDigest", "PasswordText"),
            message(sandbox, "QueryRelief", query).replace("dh_credit_hub", "someone"),
            f"<s:Envelope xmlns:s='{NS['s']}'><s:Body><QueryRelief xmlns='{NS['t']}'/></s:Body></s:Envelope>",
        ):
            assert fault(await call(http, wrong)) == "CA-1001"
        assert (await call(http, message(sandbox, "QueryRelief", query, shift=-250)))[0] == 200


@pytest.mark.parametrize(
    "query",
    [
        "<pageNo>0</pageNo><pageSize>5</pageSize>",
        "<pageNo>1</pageNo><pageSize>201</pageSize>",
        "<pageNo>2</pageNo><pageSize>5</pageSize>",
        "<since>yesterday</since><pageNo>1</pageNo><pageSize>5</pageSize>",
        "<since>2026-10-01T00:00:00</since><pageNo>1</pageNo><pageSize>5</pageSize>",
        "",
    ],
)
async def test_wrong_parameters_are_a_fault(sandbox: Sandbox, query: str) -> None:
    async with client(sandbox) as http:
        assert fault(await call(http, message(sandbox, "QueryEvents", query))) == "CA-1002"


async def test_since_snapshots_totals_and_busy(sandbox: Sandbox) -> None:
    rows = sandbox.prefecture.civil.events
    middle = sorted(row.changed for row in rows)[len(rows) // 2]
    async with client(sandbox) as http:
        since = f"<since>{middle.isoformat()}</since><pageNo>1</pageNo><pageSize>200</pageSize>"
        _, answer = await call(http, message(sandbox, "QueryEvents", since))
        assert answer.findtext(".//t:total", namespaces=NS) == str(sum(row.changed >= middle for row in rows))
        snapshot = answer.findtext(".//t:snapshotId", namespaces=NS)
        page = f"<snapshotId>{snapshot}</snapshotId><pageNo>1</pageNo><pageSize>200</pageSize>"
        assert fault(await call(http, message(sandbox, "QueryRelief", page))) == "CA-1007"
        await sandbox.misbehave("civil", wrong_total=3)
        _, lie = await call(http, message(sandbox, "QueryEvents", page))
        assert int(lie.findtext(".//t:total", namespaces=NS)) == sum(row.changed >= middle for row in rows) + 3
        await sandbox.misbehave("civil", wrong_total=0, expire_snapshots=True)
        assert fault(await call(http, message(sandbox, "QueryEvents", page))) == "CA-1007"
        await sandbox.misbehave("civil", busy=1)
        assert fault(await call(http, message(sandbox, "QueryEvents", since))) == "CA-9001"
        assert (await call(http, message(sandbox, "QueryEvents", since)))[0] == 200
        await sandbox.misbehave("civil", refuse_password=True)
        assert fault(await call(http, message(sandbox, "QueryEvents", since))) == "CA-1001"


async def test_ten_calls_per_second(sandbox: Sandbox) -> None:
    await sandbox.misbehave("civil", limit_rate=True)
    query = "<pageNo>1</pageNo><pageSize>1</pageSize>"
    async with client(sandbox) as http:
        answers = [await call(http, message(sandbox, "QueryRelief", query)) for _ in range(25)]
    codes = [fault(a) for a in answers if a[0] == 500]
    assert codes
    assert set(codes) == {"CA-9001"}
    assert sum(a[0] == 200 for a in answers) >= 10


async def test_a_request_that_is_no_soap_and_an_address_without_wsdl(sandbox: Sandbox) -> None:
    async with client(sandbox) as http:
        assert fault(await call(http, "<html/>")) == "CA-1002"
        bomb = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><x>&a;</x>'
        assert fault(await call(http, bomb)) == "CA-1002"
        assert (await http.get(PATH)).status_code == 404
        assert b"soap:address location" in (await http.get(f"{PATH}?wsdl")).content
