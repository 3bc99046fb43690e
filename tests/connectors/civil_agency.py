"""The civil affairs service over TLS on loopback: strict about header and schema, misbehaving on request."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.connectors.agencies.civil import WSDL, CivilConnector
from hub.connectors.sources import CivilSource
from hub.core.clock import SHANGHAI
from hub.core.rows import Step
from tests.connectors.clinic_agency import Remembered
from tests.connectors.tls_parties import Authority, serving

SAMPLES = Path(__file__).parent.parent / "data" / "contracts" / "samples"
NOW = datetime(2026, 10, 20, 7, 0, tzinfo=SHANGHAI)
AS_OF = "2026-10-20T06:00:00+08:00"
FEEDS = ("households", "members", "relief", "events")
_NS = {
    "s": "http://schemas.xmlsoap.org/soap/envelope/",
    "w": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd",
    "u": "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd",
    "t": "urn:dh-mz:credit:1",
}
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"


def schema() -> etree.XMLSchema:
    """The schema inside the published WSDL."""
    found = etree.parse(str(WSDL)).find(".//{http://www.w3.org/2001/XMLSchema}schema")
    assert found is not None
    return etree.XMLSchema(etree.fromstring(etree.tostring(found)))


def envelope(inner: str) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<s:Envelope xmlns:s="{_NS["s"]}" xmlns="{_NS["t"]}"><s:Body>{inner}</s:Body></s:Envelope>'
    )


def fault(code: str) -> str:
    return envelope(
        f"<s:Fault><faultcode>s:Server</faultcode><faultstring>{code}</faultstring>"
        f"<detail><errorCode>{code}</errorCode></detail></s:Fault>"
    )


@dataclass
class Call:
    """One request as the agency understood it."""

    feed: str
    since: str | None
    snapshot: str | None
    page_no: int


@dataclass
class Agency:
    """The running service. ``rows`` are served as given; ``instead`` holds answers to give before any other."""

    folder: Path
    authority: Authority
    rows: dict[str, list[str]] = field(default_factory=lambda: {feed: [] for feed in FEEDS})
    instead: list[Response | str] = field(default_factory=list)
    raw: dict[str, bytes] = field(default_factory=dict)
    expire: list[tuple[str, int]] = field(default_factory=list)
    announce_more: int = 0
    password: str = "geheim-密"
    calls: list[Call] = field(default_factory=list)
    nonces: set[str] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0
    port: int = 0

    async def answer(self, request: Request) -> Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            return self._answer(await request.body(), request.headers["SOAPAction"])
        finally:
            self.at_once -= 1

    def _answer(self, body: bytes, action: str) -> Response:
        root = etree.fromstring(body)
        if not self._is_authentic(root):
            return _xml(fault("CA-1001"), 500)
        query = root.find("s:Body", _NS)[0]
        if not schema().validate(query):
            return _xml(fault("CA-1002"), 500)
        operation = etree.QName(query).localname
        assert action == f'"urn:dh-mz:credit:1#{operation}"'
        feed = operation.removeprefix("Query").lower()
        call = Call(
            feed,
            query.findtext("t:since", None, _NS),
            query.findtext("t:snapshotId", None, _NS),
            int(query.findtext("t:pageNo", None, _NS)),
        )
        size = int(query.findtext("t:pageSize", None, _NS))
        assert 1 <= size <= 200
        assert (call.snapshot is None) == (call.page_no == 1)
        self.calls.append(call)
        if self.instead:
            instead = self.instead.pop(0)
            return instead if isinstance(instead, Response) else _xml(fault(instead), 500)
        if (feed, call.page_no) in self.expire:
            self.expire.remove((feed, call.page_no))
            return _xml(fault("CA-1007"), 500)
        if feed in self.raw:
            return Response(self.raw[feed], media_type="text/xml")
        rows = self.rows[feed]
        page = rows[(call.page_no - 1) * size : call.page_no * size]
        total = len(rows) + self.announce_more
        return _xml(
            envelope(
                f"<{operation}Response><snapshotId>5a77</snapshotId><total>{total}</total>"
                f"<pageNo>{call.page_no}</pageNo><asOf>{AS_OF}</asOf>{''.join(page)}</{operation}Response>"
            ),
            200,
        )

    def _is_authentic(self, root: etree._Element) -> bool:
        token = root.find("s:Header/w:Security/w:UsernameToken", _NS)
        if token is None:
            return False
        nonce, created = token.findtext("w:Nonce", "", _NS), token.findtext("u:Created", "", _NS)
        password = token.find("w:Password", _NS)
        parts = base64.b64decode(nonce) + created.encode() + self.password.encode()
        digest = base64.b64encode(hashlib.sha1(parts).digest()).decode()
        drift = abs(datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - NOW)
        fresh = nonce not in self.nonces and drift.total_seconds() <= 300
        self.nonces.add(nonce)
        return (
            fresh
            and token.findtext("w:Username", "", _NS) == "hub"
            and password is not None
            and password.get("Type") == _DIGEST
            and password.text == digest
        )

    def source(self, **changes: object) -> CivilSource:
        settings: dict[str, object] = {
            "name": "civil",
            "agreement_no": "DH-SJ-2026-004",
            "endpoint_url": f"https://127.0.0.1:{self.port}/services/CivilAffairs",
            "username_file": self.folder / "username",
            "password_file": self.folder / "password",
            "ca_file": self.authority.ca_file,
            "timeout_seconds": 5,
            "max_retries": 2,
        }
        return CivilSource(**(settings | changes))

    async def pull(self, watermark: object = None, *, steps: list[Step] | None = None, **changes: object) -> list[Step]:
        """All steps of one pull; ``steps`` also keeps those before an error."""
        steps = [] if steps is None else steps
        connector = CivilConnector(self.source(**changes))
        try:
            async for step in connector.pull(watermark, Remembered(), lambda: NOW):
                steps.append(step)
        finally:
            await connector.close()
        return steps


def _xml(text: str, status: int) -> Response:
    return Response(text.encode(), status, media_type="text/xml")


def element(kind: str, **texts: str) -> str:
    """One sound row of a kind, with some elements changed (``None`` would be left to the caller)."""
    sound = {
        "household": {
            "hubh": "H1", "bbh": "1", "gxsj": "2026-10-01T02:00:00+08:00", "xzqhdm": "533103102203", "xzmc": "遮放镇",
            "cmc": "弄坎村", "zh": "03", "lxdh": "13800000000", "hzt": "1", "scbz": "",
        },
        "member": {
            "cybh": "C1", "bbh": "1", "gxsj": "2026-10-01T02:00:00+08:00", "hubh": "H1", "xm": "刀岩保",
            "sfzjhm": "533103198503124417", "csrq": "", "yhzgx": "02", "rhrq": "2012-05-01", "lhrq": "", "swrq": "",
            "scbz": "",
        },
        "relief": {
            "jzbh": "J1", "bbh": "1", "gxsj": "2026-10-01T02:00:00+08:00", "hubh": "H1", "jzlx": "01",
            "ksrq": "2025-01-01", "jsrq": "", "bzrs": "4", "yjzje": "420.5", "scbz": "",
        },
        "event": {
            "sjbh": "E1", "bbh": "1", "djsj": "2026-10-05T09:00:00+08:00", "sjlx": "01", "sjrq": "2026-10-03",
            "yhubh": "H1", "xhubh": "H2", "xxzqhdm": "", "xzh": "", "cy": "<cybh>C1</cybh><yhzgx>02</yhzgx>",
            "cxbz": "",
        },
    }[kind]  # fmt: skip
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in (sound | texts).items())
    return f"<{kind}>{inner}</{kind}>"


@asynccontextmanager
async def serve(folder: Path) -> AsyncIterator[Agency]:
    """The service with one account, its certificate from an authority of its own."""
    authority = Authority(folder, "civil")
    agency = Agency(folder, authority)
    (folder / "username").write_text("hub\n")
    (folder / "password").write_text(f"{agency.password}\n")
    app = Starlette(routes=[Route("/services/CivilAffairs", agency.answer, methods=["POST"])])
    async with serving(app, authority.issue("civil-server")) as port:
        agency.port = port
        yield agency
