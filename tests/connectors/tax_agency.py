"""The tax bureau's web service on loopback, as its document describes it, misbehaving when a test says so."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from hub.connectors.agencies.tax import TaxConnector
from hub.connectors.sources import TaxSource
from hub.core.rows import CheckedRow, Step
from tests.connectors.clinic_agency import NOW, SAMPLES, Remembered
from tests.connectors.tls_parties import Authority, serving

HIGH_WATERMARK = "2026-10-20T06:00:00.000+08:00"


def envelope(records: list[Any], cursor: str | None, high_watermark: str = HIGH_WATERMARK) -> Response:
    """An ordinary answer."""
    data = {"records": records, "next_cursor": cursor, "high_watermark": high_watermark}
    return JSONResponse({"code": "0000", "msg": "成功", "data": data})


def refusal(code: str, status: int = 200) -> Response:
    """An answer with an error code."""
    return JSONResponse({"code": code, "msg": "错误", "data": None}, status)


def down(status: int = 503, **headers: str) -> Response:
    """What an overloaded front end sends."""
    return HTMLResponse("<html>busy</html>", status, headers={k.replace("_", "-"): v for k, v in headers.items()})


def sample_page(number: int) -> Response:
    """A page of the published samples, byte for byte."""
    return Response((SAMPLES / f"tax_page{number}.json").read_bytes(), media_type="application/json")


@dataclass
class TaxBureau:
    """``answer`` gives the reply to the query parameters of a call; the lists record what was asked."""

    folder: Path
    answer: Callable[[dict[str, str]], Response]
    token_answers: list[Response] = field(default_factory=list)
    token_lifetime: int = 120
    port: int = 0
    ca_file: Path | None = None
    calls: list[dict[str, str]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)

    def source(self, **changes: Any) -> TaxSource:
        for name, value in (("id", "hub"), ("secret", "s3cr3t-of-the-hub")):
            (self.folder / name).write_text(value + "\n")
        scheme = "http" if self.ca_file is None else "https"
        settings = {
            "name": "tax",
            "agreement_no": "DH-SJ-2026-001",
            "base_url": f"{scheme}://127.0.0.1:{self.port}/api/v1",
            "token_url": f"{scheme}://127.0.0.1:{self.port}/oauth2/token",
            "client_id_file": self.folder / "id",
            "client_secret_file": self.folder / "secret",
            "ca_file": self.ca_file,
            "timeout_seconds": 5,
            "max_retries": 2,
            "allow_plain_loopback": self.ca_file is None,
        }
        return TaxSource(**(settings | changes))

    async def pull(self, watermark: Any | None = None, **changes: Any) -> list[Step]:
        connector = TaxConnector(self.source(**changes))
        try:
            return [step async for step in connector.pull(watermark, Remembered(), lambda: NOW)]
        finally:
            await connector.close()

    async def give_token(self, request: Request) -> Response:
        if self.token_answers:
            return self.token_answers.pop(0)
        basic = base64.b64encode(b"hub:s3cr3t-of-the-hub").decode()
        form = (await request.body()).decode()
        if request.headers["authorization"] != f"Basic {basic}" or "grant_type=client_credentials" not in form:
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens.append(f"token-{len(self.tokens)}")
        return JSONResponse(
            {"access_token": self.tokens[-1], "token_type": "Bearer", "expires_in": self.token_lifetime}
        )

    async def give_records(self, request: Request) -> Response:
        scheme, _, token = request.headers["authorization"].partition(" ")
        if scheme != "Bearer" or token not in self.tokens or token in self.revoked:
            return refusal("E4010", 401)
        self.calls.append(dict(request.query_params))
        return self.answer(self.calls[-1])


@asynccontextmanager
async def tax_bureau(
    folder: Path, answer: Callable[[dict[str, str]], Response], *, authority: Authority | None = None
) -> AsyncIterator[TaxBureau]:
    """A running bureau; over TLS if an authority is given."""
    bureau = TaxBureau(folder, answer)
    app = Starlette(
        routes=[
            Route("/oauth2/token", bureau.give_token, methods=["POST"]),
            Route("/api/v1/taxpayer-records", bureau.give_records),
        ]
    )
    certificate = None if authority is None else authority.issue("tax")
    async with serving(app, certificate) as port:
        bureau.port = port
        bureau.ca_file = None if authority is None else authority.ca_file
        yield bureau


def rows_of(steps: list[Step]) -> list[CheckedRow]:
    """All rows in the order of delivery."""
    return [row for step in steps for row in step.rows]


def record(**changes: Any) -> dict[str, Any]:
    """A sound credit grade."""
    page = json.loads((SAMPLES / "tax_page1.json").read_bytes())
    return page["data"]["records"][1] | changes
