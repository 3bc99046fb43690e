"""The tax bureau's REST service: OAuth token, one query with cursors (tax interface V1.3)."""

import base64
import binascii
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, unquote_plus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hub.sandbox.agencies.agency import HttpAgency
from hub.sandbox.bucket import TokenBucket
from hub.sandbox.feeds.tax import TaxRecord, stamp
from hub.sandbox.misbehaviour import TaxMisbehaviour
from hub.sandbox.pki import KeyPair, write_private
from hub.sandbox.prefecture import Prefecture

CALLS_PER_SECOND = 5
BURST = 10
TOKEN_SECONDS = 120
CURSOR_SECONDS = 600
BLOCKED_AFTER = 20
LIMIT_DEFAULT = 100
LIMIT_MAX = 500

_MAINTENANCE = "<html><body><h1>系统维护中</h1></body></html>"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a cursor stands: the records of its walk, the next one, the page size, when it was given out."""

    records: list[TaxRecord]
    start: int
    limit: int
    watermark: str
    given: float


class TaxAgency(HttpAgency[TaxMisbehaviour]):
    """The service of the tax bureau."""

    def __init__(self, prefecture: Prefecture, identity: KeyPair, impostor: KeyPair, keys: Path) -> None:
        """``keys`` receives the client's id and secret."""
        super().__init__("tax", TaxMisbehaviour(), identity, impostor)
        self._prefecture = prefecture
        self.client_id = "dehong-credit-hub"
        self.client_secret = secrets.token_urlsafe(24)
        write_private(keys / "tax_client_id", self.client_id + "\n")
        write_private(keys / "tax_client_secret", self.client_secret + "\n")
        self._bucket = TokenBucket(CALLS_PER_SECOND, BURST)
        self._refused_in_a_row = 0
        self._calls = 0
        self._tokens: dict[str, float] = {}
        self._cursors: dict[str, _Place] = {}

    def app(self) -> ASGIApp:
        """Both endpoints."""
        return Starlette(
            routes=[
                Route("/oauth2/token", self._token, methods=["POST"]),
                Route("/api/v1/taxpayer-records", self._records, methods=["GET"]),
            ]
        )

    async def applied(self) -> None:
        """Revocation and forgetting happen once."""
        if self.misbehaviour.revoke_token:
            self._tokens.clear()
            self.misbehaviour.revoke_token = False
        if self.misbehaviour.expire_cursors:
            self._cursors.clear()
            self.misbehaviour.expire_cursors = False

    def _limited(self) -> Response | None:
        """HTTP 429 above the rate limit, 403 for a client that did not listen."""
        if not self.misbehaviour.limit_rate:
            return None
        if self._refused_in_a_row > BLOCKED_AFTER:
            return Response("<html><body>blocked</body></html>", status_code=403, media_type="text/html")
        wait = self._bucket.take()
        if wait:
            self._refused_in_a_row += 1
            return Response(status_code=429, headers={"Retry-After": str(wait)})
        self._refused_in_a_row = 0
        return None

    def _overloaded(self) -> Response | None:
        """HTTP 503 or code E9000, on request and now and then."""
        m = self.misbehaviour
        self._calls += 1
        if m.unavailable > 0 or (m.unavailable_every and self._calls % m.unavailable_every == 0):
            m.unavailable = max(0, m.unavailable - 1)
            return Response(_MAINTENANCE, status_code=503, media_type="text/html")
        if m.busy > 0 or (m.busy_every and self._calls % m.busy_every == 0):
            m.busy = max(0, m.busy - 1)
            return _envelope("E9000", "系统忙")
        return None

    async def _token(self, request: Request) -> Response:
        if (limited := self._limited()) is not None:
            return limited
        if self.misbehaviour.unavailable > 0:
            self.misbehaviour.unavailable -= 1
            return Response(_MAINTENANCE, status_code=503, media_type="text/html")
        if self.misbehaviour.refuse_client or not self._knows_client(request.headers.get("authorization", "")):
            headers = {"WWW-Authenticate": 'Basic realm="tax"'}
            return JSONResponse({"error": "invalid_client"}, status_code=401, headers=headers)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        if form.get("grant_type") != ["client_credentials"]:
            return JSONResponse({"error": "unsupported_grant_type"}, status_code=400)
        if form.get("scope", ["credit.read"]) != ["credit.read"]:
            return JSONResponse({"error": "invalid_scope"}, status_code=400)
        token = secrets.token_urlsafe(32)
        self._tokens[token] = time.monotonic() + TOKEN_SECONDS
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    def _knows_client(self, header: str) -> bool:
        scheme, _, encoded = header.partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        right = hmac.compare_digest(unquote_plus(secret), self.client_secret)
        return unquote_plus(name) == self.client_id and right

    def _knows_token(self, header: str) -> bool:
        scheme, _, token = header.partition(" ")
        good_until = self._tokens.get(token, 0.0)
        return scheme.lower() == "bearer" and time.monotonic() < good_until and not self.misbehaviour.refuse_token

    async def _records(self, request: Request) -> Response:
        if (limited := self._limited()) is not None:
            return limited
        if (overloaded := self._overloaded()) is not None:
            return overloaded
        if not self._knows_token(request.headers.get("authorization", "")):
            return _envelope("E4010", "令牌无效", status=401)
        query = request.query_params
        unknown = set(query) - {"updated_since", "limit", "cursor"}
        cursor = query.get("cursor")
        if unknown or (cursor is not None and len(query) > 1):
            return _envelope("E1001", "参数错误")
        if cursor is None:
            place = self._begin(query.get("updated_since"), query.get("limit"))
            return _envelope("E1001", "参数错误") if place is None else self._page(place)
        found = self._cursors.get(cursor)
        if found is None or time.monotonic() - found.given > CURSOR_SECONDS:
            return _envelope("E2001", "游标已过期")
        return self._page(found)

    def _begin(self, since: str | None, limit: str | None) -> _Place | None:
        """The first place of a walk, ``None`` for wrong parameters."""
        size = LIMIT_DEFAULT if limit is None else int(limit) if limit.isdecimal() else 0
        if not 1 <= size <= LIMIT_MAX:
            return None
        start = None
        if since is not None:
            try:
                start = datetime.fromisoformat(since)
            except ValueError:
                return None
            if start.tzinfo is None:
                return None
        now = self._prefecture.now
        records = [
            r for r in self._prefecture.tax.records if r.visible <= now and (start is None or r.changed >= start)
        ]
        return _Place(records, 0, size, stamp(now), time.monotonic())

    def _page(self, place: _Place) -> Response:
        """One page; near a border a record or two are delivered on both pages."""
        end = place.start + place.limit
        page = b",".join(record.json for record in place.records[place.start : end])
        cursor = "null"
        if end < len(place.records):
            overlap = end * 7 % 3 if place.limit > 3 else 0
            token = f"c-{secrets.token_hex(8)}"
            self._cursors[token] = _Place(place.records, end - overlap, place.limit, place.watermark, time.monotonic())
            cursor = f'"{token}"'
        tail = f'],"next_cursor":{cursor},"high_watermark":"{place.watermark}"}}}}'
        head = '{"code":"0000","msg":"成功","data":{"records":['
        return Response(head.encode() + page + tail.encode(), media_type="application/json")


def _envelope(code: str, message: str, status: int = 200) -> Response:
    return JSONResponse({"code": code, "msg": message, "data": None}, status_code=status)
