"""The authorization endpoint: a person signs in, reads what is asked in the hub's own words, and says yes or no.

Two parameters come through the browser, ``client_id`` and ``request_uri``; everything else was pushed. Opening the page
uses nothing up: a reload is no second request. What was asked ends with the decision, once.

The pages work without JavaScript; nothing is loaded from elsewhere, framed or kept.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import parse_qsl, quote, urlencode, urlsplit
from uuid import UUID

from authlib.common.urls import add_params_to_uri
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from hub.auth.forms import fields_of
from hub.auth.grant_store import GrantStore, Opened, Visit, new_secret
from hub.auth.page_files import page_templates
from hub.auth.par import URI_PREFIX
from hub.auth.store import AuthStore, RegisteredClient
from hub.consent.notice import HEIGHTENED_NOTICE, needs_written_notice, part_words
from hub.core.clock import Clock
from hub.core.disclosure import Asker
from hub.core.errors import AuditError, HubError, InputError, RefusedError, StoreError
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.consent.grant_consent import ConsentGrant, grant_consent
from hub.flows.consent.my_consents import RequestShown, my_requests
from hub.flows.consent.refuse_consent import ConsentRefusal, refuse_consent
from hub.store.database import DATABASE_ERRORS

_FIELDS_MAX = 100
_CLIENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_SECRET_MAX = 512

WORDS = {
    "REQUEST": ("这个授权请求无效、已过期或已办理。请回到申请方重新开始。",
                "This request is not valid, has run out, or was answered. Please start again where you came from."),
    "NOT_YOURS": ("这个请求不是发给您的，您不能答复。", "This request is not addressed to you; you cannot answer it."),
    "FORM": ("页面已失效，请重新打开。", "This page is no longer good; please open it again."),
    "PARTS": ("请至少勾选一项；需要特别提示的内容须先确认已阅读。",
              "Please tick at least one part; what needs the special notice needs it to be accepted."),
    "BUSY": ("系统暂时不能办理，请稍后再试。", "Please try again later."),
    "UNSURE": ("系统暂时不能确认您的授权是否已经登记。请稍后在您的授权列表中查看；如已登记，可随时撤回。",
               "The hub cannot say yet whether your consent is on record. Look under your consents later; "
               "you can withdraw it there at any time."),
    "GIVEN": ("您的授权已经登记，但未能通知申请方。您可以随时撤回授权。",
              "Your consent is on record, but the applicant could not be told. You can withdraw it at any time."),
}  # fmt: skip
"""What the pages say, Chinese first."""


class SignedIn(Protocol):
    """A person who has signed in."""

    @property
    def account_id(self) -> str:
        """His account."""

    @property
    def session_id(self) -> UUID:
        """What stands for the session in records; not the secret of its cookie."""

    @property
    def amr(self) -> tuple[str, ...]:
        """How he signed in (RFC 8176)."""

    @property
    def signed_in_at(self) -> datetime | None:
        """When he signed in."""


class Visitors(Protocol):
    """Knows who sits at a browser."""

    async def of(self, request: Request) -> SignedIn | None:
        """Whoever has signed in with the browser of this request."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """An opened request and who is to answer it."""

    client: RegisteredClient
    secret: str
    opened: Opened
    visit: Visit
    shown: RequestShown | None


class _PageError(Exception):
    """The request ends with a page; there is nowhere to redirect to."""

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


class AuthorizePages:
    """The pages at ``/oauth2/authorize``."""

    def __init__(
        self, issuer: str, store: AuthStore, grants: GrantStore, desk: ConsentDesk, visitors: Visitors, clock: Clock
    ) -> None:
        self._issuer = issuer
        self._store = store
        self._grants = grants
        self._desk = desk
        self._visitors = visitors
        self._clock = clock
        self._pages = page_templates()

    async def show(self, request: Request) -> Response:
        """The page with the question; a visitor who has not signed in is sent to do so first."""
        try:
            asked = await self._asked(request, _once(request.url.query))
        except _PageError as error:
            return self._told(error.words, error.status)
        except (HubError, *DATABASE_ERRORS):
            return self._told("BUSY", 503)
        return asked if isinstance(asked, Response) else self._question(asked)

    async def decide(self, request: Request) -> Response:
        """Take the answer of the form, do what it says, and send the browser back to the client."""
        try:
            form = await _form(request)
            asked = await self._asked(request, {name: form[name][0] for name in ("client_id", "request_uri")})
            if isinstance(asked, Response):
                return asked
            token = form.get("csrf", [""])[0]
            if not hmac.compare_digest(token.encode(), self._csrf(asked).encode()) or not _from_here(request):
                raise _PageError("FORM")
            if form.get("decision") == ["yes"]:
                return await self._yes(asked, form)
            if form.get("decision") == ["no"]:
                return await self._no(asked)
            raise _PageError("FORM")
        except _PageError as error:
            return self._told(error.words, error.status)
        except RefusedError:
            return self._told("REQUEST", 400)
        except (HubError, *DATABASE_ERRORS):
            return self._told("BUSY", 503)

    async def _asked(self, request: Request, given: dict[str, str]) -> "_Asked | Response":
        secret = given["request_uri"].removeprefix(URI_PREFIX)
        if not given["request_uri"].startswith(URI_PREFIX) or not 0 < len(secret) <= _SECRET_MAX:
            raise _PageError("REQUEST")
        if not _CLIENT_ID.fullmatch(given["client_id"]):
            raise _PageError("REQUEST")
        signed_in = await self._visitors.of(request)
        visit = None
        if signed_in is not None:
            at = signed_in.signed_in_at or self._clock()
            visit = Visit(signed_in.account_id, signed_in.session_id, signed_in.amr, at)
        client = await self._store.find_client(given["client_id"])
        opened = None
        if client is not None and client.is_active:
            opened = await self._grants.open(secret, client.client_id, visit)
        if client is None or opened is None:
            raise _PageError("REQUEST")
        if visit is None:
            here = "/oauth2/authorize?" + urlencode(
                {"client_id": given["client_id"], "request_uri": given["request_uri"]}
            )
            return RedirectResponse("/sign-in?next=" + quote(here, safe=""), status_code=303)
        shown = None if opened.request_id is None else await self._shown(visit, opened.request_id)
        return _Asked(client, secret, opened, visit, shown)

    async def _shown(self, visit: Visit, request_id: UUID) -> RequestShown:
        try:
            mine = await my_requests(self._desk, _asker(visit))
        except RefusedError:
            raise _PageError("NOT_YOURS", 403) from None
        for shown in mine:
            # On this page people decide alone; about a minor it is decided where a guardian is at hand.
            if shown.request.request_id == request_id and shown.request.minor is None:
                return shown
        raise _PageError("NOT_YOURS", 403)

    def _question(self, asked: _Asked, problem: str | None = None) -> Response:
        request = None if asked.shown is None else asked.shown.request
        parts = () if request is None else request.parts
        context = {
            "client": asked.client,
            "account": asked.visit.account_id,
            "shown": asked.shown,
            "parts": []
            if request is None
            else [
                {"key": key, "words": part_words(request.purpose, key), "is_heightened": needs_written_notice(key)}
                for key in parts
            ],
            "heightened": HEIGHTENED_NOTICE if any(needs_written_notice(key) for key in parts) else None,
            "request_uri": URI_PREFIX + asked.secret,
            "csrf": self._csrf(asked),
            "problem": WORDS[problem] if problem else None,
        }
        return self._page("question.html", context, 400 if problem else 200, asked.opened.redirect_uri)

    async def _yes(self, asked: _Asked, form: dict[str, list[str]]) -> Response:
        grant_id = None
        if asked.shown is not None:
            asker = _asker(asked.visit)
            chosen = tuple(form.get("part", ()))
            heightened = form.get("heightened") == ["yes"]
            if not heightened and any(needs_written_notice(key) for key in chosen):
                return self._question(asked, "PARTS")
            change = ConsentGrant(
                asker=asker,
                request_id=asked.shown.request.request_id,
                operation=Operation("POST /oauth2/authorize", {"parts": list(chosen), "heightened": heightened}),
                parts=chosen,
                heightened_notice=heightened,
            )
            try:
                made, _ = await grant_consent(self._desk, change)
            except InputError:
                return self._question(asked, "PARTS")
            except (StoreError, AuditError):
                # It may be stored and only wait for the log, so nothing else may be said.
                raise _PageError("UNSURE", 503) from None
            grant_id = made.consent_id
        code = new_secret()
        try:
            done = await self._grants.finish(asked.secret, asked.client.client_id, asked.visit, grant_id, code)
        except DATABASE_ERRORS:
            raise _PageError("BUSY" if grant_id is None else "GIVEN", 503) from None
        if not done:
            raise _PageError("REQUEST" if grant_id is None else "GIVEN")
        return self._back(asked, {"code": code})

    async def _no(self, asked: _Asked) -> Response:
        if asked.shown is not None:
            asker = _asker(asked.visit)
            await refuse_consent(
                self._desk,
                ConsentRefusal(asker, asked.shown.request.request_id, Operation("POST /oauth2/authorize")),
            )
        if not await self._grants.finish(asked.secret, asked.client.client_id, asked.visit, None, None):
            raise _PageError("REQUEST")
        return self._back(asked, {"error": "access_denied"})

    def _back(self, asked: _Asked, answer: dict[str, str]) -> Response:
        """To the client, with the issuer, so that its answer cannot be taken for another server's (RFC 9207)."""
        state = {} if asked.opened.state is None else {"state": asked.opened.state}
        target = add_params_to_uri(asked.opened.redirect_uri, list({**answer, **state, "iss": self._issuer}.items()))
        return RedirectResponse(target, status_code=303)

    def _csrf(self, asked: _Asked) -> str:
        return self._desk.keys.index("csrf", f"{asked.visit.session_id}|{asked.secret}").hex()

    def _told(self, words: str, status: int) -> Response:
        return self._page("told.html", {"words": WORDS[words]}, status)

    def _page(self, name: str, context: dict[str, Any], status: int, redirect_uri: str | None = None) -> Response:
        # Browsers apply form-action to the redirect that answers a form, so the client's own address must be named.
        targets = "'self'" if redirect_uri is None else f"'self' {_origin(redirect_uri)}"
        policy = f"default-src 'none'; style-src 'self'; form-action {targets}; base-uri 'none'; frame-ancestors 'none'"
        headers = {"content-security-policy": policy, "cache-control": "no-store", "x-frame-options": "DENY"}
        return Response(
            self._pages.get_template(name).render({"notice": None} | context),
            status,
            headers,
            "text/html; charset=utf-8",
        )


def _once(query: str) -> dict[str, str]:
    """The two parameters of the address, each once, and no other."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=10)
    except ValueError:
        raise _PageError("REQUEST") from None
    if sorted(name for name, _ in pairs) != ["client_id", "request_uri"]:
        raise _PageError("REQUEST")
    return dict(pairs)


async def _form(request: Request) -> dict[str, list[str]]:
    """The fields of a posted form; those that name the request and the decision must be there once."""
    try:
        form = fields_of(await request.body(), request.headers.get("content-type", ""), fields_max=_FIELDS_MAX)
    except ValueError:
        raise _PageError("FORM") from None
    if any(len(form.get(name, ())) != 1 for name in ("client_id", "request_uri", "csrf", "decision")):
        raise _PageError("FORM")
    return form


def _asker(visit: Visit) -> Asker:
    """The person himself; what stands in the place of a token is his session."""
    return Asker(visit.account_id, str(visit.session_id), visit.account_id)


def _from_here(request: Request) -> bool:
    """Whether the browser says that the form came from this site; browsers that say nothing are left to the token."""
    return request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _origin(uri: str) -> str:
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}"
