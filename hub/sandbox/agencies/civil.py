"""The civil affairs bureau's SOAP 1.1 service with WS-Security (civil affairs interface)."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from lxml import etree
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hub.core.clock import iso
from hub.sandbox.agencies.agency import HttpAgency
from hub.sandbox.bucket import TokenBucket
from hub.sandbox.feeds.civil import CivilRow
from hub.sandbox.misbehaviour import CivilMisbehaviour
from hub.sandbox.pki import KeyPair, write_private
from hub.sandbox.prefecture import Prefecture

CALLS_PER_SECOND = 10
CREATED_SECONDS = 300
SNAPSHOT_SECONDS = 600
PAGE_MAX = 200
PATH = "/services/CivilAffairs"

_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_TNS = "{urn:dh-mz:credit:1}"
_WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
_WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_EXAMPLE_ADDRESS = b"https://mz.example.gov.cn/services/CivilAffairs"
_ROWS = {
    "QueryHouseholds": "households",
    "QueryMembers": "members",
    "QueryRelief": "relief",
    "QueryEvents": "events",
}


class _FaultError(Exception):
    """A SOAP fault with one of the documented codes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(slots=True)
class _Snapshot:
    """Rows frozen for one walk of one operation."""

    operation: str
    rows: list[CivilRow]
    as_of: str
    used: float


class CivilAgency(HttpAgency[CivilMisbehaviour]):
    """The service of the civil affairs bureau."""

    def __init__(self, prefecture: Prefecture, identity: KeyPair, impostor: KeyPair, keys: Path) -> None:
        """``keys`` receives the account's name and password."""
        super().__init__("civil", CivilMisbehaviour(), identity, impostor)
        self._prefecture = prefecture
        self.username = "dh_credit_hub"
        self.password = secrets.token_urlsafe(18)
        write_private(keys / "civil_username", self.username + "\n")
        write_private(keys / "civil_password", self.password + "\n")
        self._bucket = TokenBucket(CALLS_PER_SECOND, CALLS_PER_SECOND)
        self._nonces: dict[bytes, float] = {}
        self._snapshots: dict[str, _Snapshot] = {}
        self._calls_under_way = 0

    def app(self) -> ASGIApp:
        """One address: POST for calls, GET with ``?wsdl`` for the description."""
        return Starlette(
            routes=[Route(PATH, self._describe, methods=["GET"]), Route(PATH, self._call, methods=["POST"])]
        )

    async def applied(self) -> None:
        """Snapshots are forgotten once."""
        if self.misbehaviour.expire_snapshots:
            self._snapshots.clear()
            self.misbehaviour.expire_snapshots = False

    async def _describe(self, request: Request) -> Response:
        if "wsdl" not in {name.lower() for name in request.query_params}:
            return Response(status_code=404)
        wsdl = files("hub.connectors").joinpath("wsdl", "civil_affairs.wsdl").read_bytes()
        return Response(wsdl.replace(_EXAMPLE_ADDRESS, f"{self.origin}{PATH}".encode()), media_type="text/xml")

    async def _call(self, request: Request) -> Response:
        self._calls_under_way += 1
        try:
            if self._calls_under_way > 1 or (self.misbehaviour.limit_rate and self._bucket.take()):
                raise _FaultError("CA-9001")
            if self.misbehaviour.busy > 0:
                self.misbehaviour.busy -= 1
                raise _FaultError("CA-9001")
            envelope = _parse(await request.body())
            self._check_security(envelope)
            body = envelope.find(f"{_SOAP}Body")
            query = None if body is None else next(iter(body), None)
            if query is None:
                raise _FaultError("CA-1002")
            return _xml(self._answer(query))
        except _FaultError as fault:
            return _xml(_fault(fault.code), status=500)
        finally:
            self._calls_under_way -= 1

    def _check_security(self, envelope: etree._Element) -> None:
        """UsernameToken with PasswordDigest: right, fresh, never used before."""
        token = envelope.find(f"{_SOAP}Header/{_WSSE}Security/{_WSSE}UsernameToken")
        if token is None or self.misbehaviour.refuse_password:
            raise _FaultError("CA-1001")
        password = token.find(f"{_WSSE}Password")
        created = token.findtext(f"{_WSU}Created") or ""
        if password is None or password.get("Type") != _DIGEST:
            raise _FaultError("CA-1001")
        try:
            nonce = base64.b64decode(token.findtext(f"{_WSSE}Nonce") or "", validate=True)
            instant = datetime.fromisoformat(created)
        except (binascii.Error, ValueError):
            raise _FaultError("CA-1001") from None
        now = time.time()
        fresh = instant.tzinfo is not None and abs(now - instant.astimezone(UTC).timestamp()) <= CREATED_SECONDS
        # SHA-1 is what the profile prescribes; it is no choice of ours.
        digest = hashlib.sha1(nonce + created.encode() + self.password.encode(), usedforsecurity=False).digest()
        right = hmac.compare_digest(base64.b64encode(digest).decode(), (password.text or "").strip())
        if not (nonce and fresh and right and token.findtext(f"{_WSSE}Username") == self.username):
            raise _FaultError("CA-1001")
        self._nonces = {n: t for n, t in self._nonces.items() if now - t <= 2 * CREATED_SECONDS}
        if nonce in self._nonces:
            raise _FaultError("CA-1001")
        self._nonces[nonce] = now

    def _answer(self, query: etree._Element) -> bytes:
        operation = etree.QName(query).localname
        if operation not in _ROWS or etree.QName(query).namespace != _TNS[1:-1]:
            raise _FaultError("CA-1002")
        page, size = _number(query, "pageNo"), _number(query, "pageSize")
        if page < 1 or not 1 <= size <= PAGE_MAX:
            raise _FaultError("CA-1002")
        identifier = query.findtext(f"{_TNS}snapshotId") or ""
        if identifier:
            snapshot = self._snapshots.get(identifier)
            if snapshot is None or snapshot.operation != operation or self._is_old(snapshot):
                raise _FaultError("CA-1007")
        elif page == 1:
            identifier, snapshot = self._freeze(operation, query.findtext(f"{_TNS}since") or "")
        else:
            raise _FaultError("CA-1002")
        snapshot.used = time.monotonic()
        rows = b"".join(row.xml for row in snapshot.rows[(page - 1) * size : page * size])
        total = len(snapshot.rows) + self.misbehaviour.wrong_total
        head = (
            f"<{operation}Response><snapshotId>{identifier}</snapshotId><total>{total}</total>"
            f"<pageNo>{page}</pageNo><asOf>{snapshot.as_of}</asOf>"
        )
        return (
            b'<?xml version="1.0" encoding="UTF-8"?>'
            b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:dh-mz:credit:1"><s:Body>'
            + head.encode()
            + rows
            + f"</{operation}Response></s:Body></s:Envelope>".encode()
        )

    def _is_old(self, snapshot: _Snapshot) -> bool:
        return time.monotonic() - snapshot.used > SNAPSHOT_SECONDS

    def _freeze(self, operation: str, since: str) -> tuple[str, _Snapshot]:
        start = None
        if since:
            try:
                start = datetime.fromisoformat(since)
            except ValueError:
                raise _FaultError("CA-1002") from None
            if start.tzinfo is None:
                raise _FaultError("CA-1002")
        now = self._prefecture.now
        every: list[CivilRow] = getattr(self._prefecture.civil, _ROWS[operation])
        rows = [r for r in every if r.visible <= now and (start is None or r.changed >= start)]
        self._snapshots = {i: s for i, s in self._snapshots.items() if not self._is_old(s)}
        identifier = secrets.token_hex(6)
        snapshot = _Snapshot(operation, rows, iso(now), time.monotonic())
        self._snapshots[identifier] = snapshot
        return identifier, snapshot


def _parse(body: bytes) -> etree._Element:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        envelope = etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        raise _FaultError("CA-1002") from None
    if envelope.tag != f"{_SOAP}Envelope":
        raise _FaultError("CA-1002")
    return envelope


def _number(query: etree._Element, name: str) -> int:
    text = (query.findtext(f"{_TNS}{name}") or "").strip()
    return int(text) if text.isascii() and text.isdecimal() else 0


def _fault(code: str) -> bytes:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
        f"<faultcode>s:Server</faultcode><faultstring>{code}</faultstring>"
        f'<detail><errorCode xmlns="urn:dh-mz:credit:1">{code}</errorCode></detail>'
        "</s:Fault></s:Body></s:Envelope>"
    ).encode()


def _xml(content: bytes, status: int = 200) -> Response:
    return Response(content, status_code=status, media_type="text/xml")
