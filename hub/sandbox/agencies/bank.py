"""A bank's export service: mutual TLS, signed daily files, rotating keys (bank interface V2)."""

import json
from base64 import urlsafe_b64encode
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hub.core.names import RefusalReason
from hub.sandbox.agencies.agency import HttpAgency
from hub.sandbox.bucket import TokenBucket
from hub.sandbox.feeds.bank import BankFeed, BankFile
from hub.sandbox.misbehaviour import BankMisbehaviour
from hub.sandbox.pki import KeyPair
from hub.sandbox.prefecture import Prefecture

CALLS_PER_SECOND = 10
LISTING_MAX = 50
ROTATED_BEFORE_DAYS = 7


def _b64(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


class BankAgency(HttpAgency[BankMisbehaviour]):
    """The export service of one bank."""

    def __init__(
        self, prefecture: Prefecture, feed: BankFeed, identity: KeyPair, impostor: KeyPair, clients: bytes
    ) -> None:
        """``clients``: PEM of the authority that this bank issues its client certificates with."""
        super().__init__(feed.bank.source, BankMisbehaviour(), identity, impostor, clients)
        self._feed = feed
        self._bucket = TokenBucket(CALLS_PER_SECOND, CALLS_PER_SECOND)
        self._keys: dict[str, Ed25519PrivateKey] = {}
        self._kid_of: dict[str, str] = {}
        rotated = prefecture.as_of - timedelta(days=ROTATED_BEFORE_DAYS)
        old, self._kid = self._new_key(), self._new_key()
        for file in feed.files:
            self._kid_of[file.name] = old if file.business_date < rotated else self._kid

    def _new_key(self) -> str:
        kid = f"{self._feed.bank.code[-4:]}-{chr(ord('a') + len(self._keys))}"
        self._keys[kid] = Ed25519PrivateKey.generate()
        return kid

    def app(self) -> ASGIApp:
        """Listing, files, signatures, key set."""
        return Starlette(
            routes=[
                Route("/v1/exports", self._listing),
                Route("/v1/exports/{name}", self._file),
                Route("/.well-known/jwks.json", self._jwks),
            ]
        )

    async def applied(self) -> None:
        """A new key takes over the files of the latest day, once."""
        if self.misbehaviour.rotate_key:
            self._kid = self._new_key()
            latest = self._feed.files[-1].business_date
            for file in self._feed.files:
                if file.business_date == latest:
                    self._kid_of[file.name] = self._kid
            self.misbehaviour.rotate_key = False

    def _limited(self) -> Response | None:
        wait = self._bucket.take() if self.misbehaviour.limit_rate else 0
        return _problem(429, "Too many calls", {"Retry-After": str(wait)}) if wait else None

    async def _listing(self, request: Request) -> Response:
        if (limited := self._limited()) is not None:
            return limited
        after = request.query_params.get("after_seq", "0")
        if not (after.isascii() and after.isdecimal()):
            return _problem(400, "after_seq is not a number")
        files = [file for file in self._feed.files if file.seq > int(after)][:LISTING_MAX]
        listed = [
            {
                "name": file.name,
                "seq": file.seq,
                "business_date": file.business_date.isoformat(),
                "bytes": len(file.content),
                "rows": file.rows + self._lie_about(file),
                "replaces": file.replaces,
            }
            for file in files
        ]
        return JSONResponse({"files": listed, "latest_seq": self._feed.files[-1].seq})

    def _lie_about(self, file: BankFile) -> int:
        return 1 if file.refusal is RefusalReason.COUNT_MISMATCH or self.misbehaviour.wrong_count else 0

    async def _file(self, request: Request) -> Response:
        if (limited := self._limited()) is not None:
            return limited
        asked: str = request.path_params["name"]
        signature = asked.endswith(".jws")
        name = asked.removesuffix(".jws")
        file = next((f for f in self._feed.files if f.name == name), None)
        if self.misbehaviour.not_replicated > 0:
            self.misbehaviour.not_replicated -= 1
            return _problem(404, "Not found")
        if file is None:
            return _problem(404, "Not found")
        if signature:
            missing = file.refusal is RefusalReason.CONTROL_MISSING or self.misbehaviour.missing_signature
            return _problem(404, "Not found") if missing else Response(self._sign(file), media_type="text/plain")
        content = file.content[: len(file.content) // 2] if self.misbehaviour.truncated else file.content
        return Response(content, media_type="application/gzip")

    def _sign(self, file: BankFile) -> str:
        """Compact JWS, detached and unencoded payload (RFC 7515 appendix F, RFC 7797)."""
        kid = self._kid_of.setdefault(file.name, self._kid)
        header = {
            "alg": "EdDSA",
            "b64": False,
            "crit": ["b64"],
            "kid": kid,
            "fn": file.name,
            "bd": file.business_date.isoformat(),
        }
        protected = _b64(json.dumps(header).encode())
        bad = file.refusal is RefusalReason.SIGNATURE_INVALID or self.misbehaviour.bad_signature
        payload = file.content + b"x" if bad else file.content
        return f"{protected}..{_b64(self._keys[kid].sign(protected.encode() + b'.' + payload))}"

    async def _jwks(self, _: Request) -> Response:
        if (limited := self._limited()) is not None:
            return limited
        keys = [
            {
                "kty": "OKP",
                "crv": "Ed25519",
                "x": _b64(key.public_key().public_bytes_raw()),
                "kid": kid,
                "use": "sig",
                "alg": "EdDSA",
            }
            for kid, key in self._keys.items()
        ]
        return JSONResponse({"keys": keys})


def _problem(status: int, title: str, headers: dict[str, str] | None = None) -> Response:
    body = {"type": "about:blank", "title": title, "status": status}
    return JSONResponse(body, status_code=status, headers=headers, media_type="application/problem+json")
