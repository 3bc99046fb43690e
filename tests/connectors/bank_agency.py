"""A bank's export service on loopback over mutual TLS, as its document describes it."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.connectors.agencies.bank import BankConnector
from hub.connectors.sources import BankSource
from hub.core.rows import Step
from tests.connectors.clinic_agency import NOW, SAMPLES, Remembered
from tests.connectors.tls_parties import Authority, serving

BANK = "402739000011"
SAMPLE = f"CREDIT_{BANK}_20261019_108.jsonl.gz"


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass
class Signer:
    """A signing key of the bank."""

    kid: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        raw = self.key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        members = {"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": b64(raw)}
        return members | changes

    def header(self, name: str, day: str) -> dict[str, Any]:
        return {"alg": "EdDSA", "b64": False, "crit": ["b64"], "kid": self.kid, "fn": name, "bd": day}

    def sign(self, data: bytes, header: dict[str, Any]) -> bytes:
        protected = b64(json.dumps(header).encode())
        return f"{protected}..{b64(self.key.sign(protected.encode() + b'.' + data))}".encode()


@dataclass
class Bank:
    """It serves ``listing``, ``files`` (signatures too, by name) and ``key_sets`` (in turn, the last one stays)."""

    folder: Path
    authority: Authority
    signer: Signer = field(default_factory=lambda: Signer("2026a"))
    listing: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    key_sets: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    trouble: dict[str, list[Response]] = field(default_factory=dict)
    port: int = 0
    page_length: int = 50

    def publish(self, seq_in_name: int, lines: list[Any] | bytes, **changes: Any) -> str:
        """Put a signed file on the list; ``changes`` alter its entry in the list."""
        name, day = f"CREDIT_{BANK}_20261019_{seq_in_name}.jsonl.gz", "2026-10-19"
        text = lines if isinstance(lines, bytes) else b"".join(json.dumps(line).encode() + b"\n" for line in lines)
        data = gzip.compress(text)
        self.files[name] = data
        self.files[f"{name}.jws"] = self.signer.sign(data, self.signer.header(name, day))
        entry = {"name": name, "seq": seq_in_name, "business_date": day, "replaces": None, "bytes": len(data)}
        self.listing.append(entry | {"rows": text.count(b"\n")} | changes)
        return name

    def publish_sample(self, signature: str = ".jws") -> None:
        """The published sample file with one of its signatures, byte for byte."""
        self.listing = json.loads((SAMPLES / "bank_listing.json").read_bytes())["files"]
        self.files[SAMPLE] = (SAMPLES / f"bank_{SAMPLE}").read_bytes()
        self.files[f"{SAMPLE}.jws"] = (SAMPLES / f"bank_{SAMPLE}{signature}").read_bytes()
        self.key_sets = [json.loads((SAMPLES / "bank_jwks.json").read_bytes())]

    def source(self, **changes: Any) -> BankSource:
        certificate, key = self.authority.issue("hub")
        settings = {
            "name": "bank",
            "agreement_no": "DH-SJ-2026-005",
            "base_url": f"https://127.0.0.1:{self.port}/v1",
            "jwks_url": f"https://127.0.0.1:{self.port}/.well-known/jwks.json",
            "bank_code": BANK,
            "client_cert_file": certificate,
            "client_key_file": key,
            "ca_file": self.authority.ca_file,
            "timeout_seconds": 5,
            "max_retries": 2,
        }
        return BankSource(**(settings | changes))

    def connector(self, **changes: Any) -> BankConnector:
        return BankConnector(self.source(**changes))

    async def pull(
        self,
        watermark: Any | None = None,
        *,
        memory: Remembered | None = None,
        connector: BankConnector | None = None,
        **changes: Any,
    ) -> list[Step]:
        connector = connector or self.connector(**changes)
        memory, steps = memory or Remembered(), []
        try:
            async for step in connector.pull(watermark, memory, lambda: NOW):
                memory.commit(step)
                steps.append(step)
        finally:
            await connector.close()
        return steps

    async def give_listing(self, request: Request) -> Response:
        self.requests.append(str(request.url.query))
        after = request.query_params.get("after_seq")
        files = [entry for entry in self.listing if after is None or entry["seq"] > int(after)]
        latest = max((entry["seq"] for entry in self.listing), default=0)
        return JSONResponse({"files": files[: self.page_length], "latest_seq": latest})

    async def give_file(self, request: Request) -> Response:
        name = request.path_params["name"]
        self.requests.append(name)
        if self.trouble.get(name):
            return self.trouble[name].pop(0)
        if name not in self.files:
            return JSONResponse({"title": "not found"}, 404, media_type="application/problem+json")
        return Response(self.files[name], media_type="application/gzip")

    async def give_keys(self, _: Request) -> Response:
        self.requests.append("jwks")
        sets = self.key_sets or [{"keys": [self.signer.jwk()]}]
        return JSONResponse(sets[0] if len(sets) == 1 else self.key_sets.pop(0))


@asynccontextmanager
async def bank_service(folder: Path) -> AsyncIterator[Bank]:
    """A running service that accepts only client certificates of its own authority."""
    bank = Bank(folder, Authority(folder, "bank"))
    app = Starlette(
        routes=[
            Route("/v1/exports", bank.give_listing),
            Route("/v1/exports/{name}", bank.give_file),
            Route("/.well-known/jwks.json", bank.give_keys),
        ]
    )
    async with serving(app, bank.authority.issue("server"), client_ca=bank.authority.ca_file) as port:
        bank.port = port
        yield bank
