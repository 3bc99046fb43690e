"""A browser that fills in forms, over the real application."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote

import httpx

from tests.api.world import Api

from .authenticator import Authenticator

ORIGIN = "http://localhost:8000"


class _Forms(HTMLParser):
    """The forms of a page: action -> fields and data attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: dict[str, dict[str, str]] = {}
        self.data: dict[str, dict[str, str]] = {}
        self._action: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._action = values["action"]
            assert values.get("method") == "post"
            self.forms[self._action] = {}
            self.data[self._action] = {name: value for name, value in values.items() if name.startswith("data-")}
        elif tag == "input" and self._action is not None:
            self.forms[self._action][values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._action = None


class Browser:
    """One browser with its cookies; ``page`` is what it shows."""

    def __init__(self, api: Api) -> None:
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=api.app), base_url=ORIGIN)
        self.page: httpx.Response

    @property
    def forms(self) -> dict[str, dict[str, str]]:
        return _Forms(self.page.text).forms

    def options(self, action: str) -> dict[str, Any]:
        """What the page would ask an authenticator."""
        asked: dict[str, Any] = json.loads(_Forms(self.page.text).data[action]["data-options"])
        return asked

    async def open(self, path: str) -> httpx.Response:
        self.page = await self.http.get(path)
        return self.page

    async def send(self, action: str, **changes: str) -> httpx.Response:
        """Send a form of the page, with changed fields."""
        self.page = await self.http.post(action, data=self.forms[action] | changes)
        return self.page

    async def with_code(self, account: str, code: str, next_path: str = "/explorer") -> httpx.Response:
        await self.open(f"/sign-in?next={quote(next_path)}")
        return await self.send("/sign-in/code", account=account, code=code)

    async def with_passkey(self, authenticator: Authenticator, origin: str = ORIGIN, **changes: Any) -> httpx.Response:
        await self.open("/sign-in?next=/explorer")
        answer = authenticator.get(self.options("/sign-in/passkey"), origin, **changes)
        return await self.send("/sign-in/passkey", answer=answer)

    def session(self) -> str | None:
        """The session cookie, as the browser has it."""
        return self.http.cookies.get("hub-session")


@asynccontextmanager
async def browser(api: Api) -> AsyncIterator[Browser]:
    opened = Browser(api)
    try:
        yield opened
    finally:
        await opened.http.aclose()
