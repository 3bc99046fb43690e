"""The page ``/enrol``, where a person makes a passkey with the code that was handed over, and ``/accounts/changes``,
where a security administrator decides what takes two people.
"""

from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.auth.assist_pages import AssistPages
from hub.auth.breach_pages import BreachPages
from hub.auth.forms import Cookies, FormGuard, read_form
from hub.auth.passkeys import Passkeys
from hub.auth.sign_in import SignInDesk
from hub.auth.sign_in_pages import Notice, Pages, SignInPages, go, notice_of, sign_in_routes, status_of
from hub.core.clock import SHANGHAI
from hub.core.errors import HubError, InputError, RefusedError
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.assist_resident import AssistanceDesk
from hub.flows.people.decide_change import PendingChange, decide_change, pending_changes
from hub.flows.people.enrol_passkey import Codes, enrol_passkey, find_enrolment

VERBS: dict[str, Notice] = {
    "OPEN": ("开立账户", "Open an account"),
    "RESUME": ("恢复账户", "Resume an account"),
    "ENROL": ("登记通行密钥", "Enrol a passkey"),
    "APPROVER": ("登记规则审批密钥", "Register a key that approves rules"),
}
"""What may be asked for, in words."""


class EnrolPages:
    """What the pages do."""

    def __init__(
        self, desk: AccountDesk, sign_in: SignInDesk, passkeys: Passkeys, guard: FormGuard, pages: Pages
    ) -> None:
        self._desk = desk
        self._sign_in = sign_in
        self._passkeys = passkeys
        self._guard = guard
        self._pages = pages

    async def page(self, request: Request) -> Response:
        """Ask for the code."""
        return self._enrol_page(request)

    async def with_code(self, request: Request) -> Response:
        """Take the code, and offer to make a passkey."""
        try:
            form = await read_form(request)
            visit = self._guard.check(request, form)
            codes = _codes(form)
            found = await find_enrolment(self._desk, codes)
            if found is None:
                raise _unknown()
        except HubError as error:
            return self._enrol_page(request, error)
        ticket = self._passkeys.ticket(f"create|{found.enrolment_id}", visit)
        options = self._passkeys.creation_options(ticket, found.account_id, found.handle, found.known)
        return self._pages.show(
            "sign_in_enrol.html", visit,
            options=options, ticket=ticket, account=found.account_id, code=codes.first, second=codes.second,
        )  # fmt: skip

    async def with_passkey(self, request: Request) -> Response:
        """Take the passkey that was made."""
        try:
            form = await read_form(request)
            visit = self._guard.check(request, form)
            codes = _codes(form)
            found = await find_enrolment(self._desk, codes)
            if found is None:
                raise _unknown()
            asked = self._passkeys.read_ticket(form.get("ticket", ""), f"create|{found.enrolment_id}", visit)
            passkey = self._passkeys.created(form.get("answer", ""), asked)
            await enrol_passkey(self._desk, codes, passkey, asked.challenge, asked.expires_at)
        except HubError as error:
            return self._enrol_page(request, error)
        return go("/sign-in?notice=PASSKEY_ENROLLED")

    def _enrol_page(self, request: Request, error: HubError | None = None) -> Response:
        visit = self._guard.visit(request)
        notice = None if error is None else notice_of(error)
        return self._pages.show(
            "sign_in_enrol.html", visit, 200 if error is None else status_of(error), notice=notice, options=""
        )

    async def changes(self, request: Request) -> Response:
        """Show what waits for a second person."""
        return await self._changes_page(request)

    async def decide(self, request: Request) -> Response:
        """Take a decision."""
        try:
            form = await read_form(request)
            self._guard.check(request, form)
            change, decision = _change_id(form.get("change", "")), form.get("decision", "")
            if decision not in {"approve", "refuse"}:
                raise _unreadable()
            secret = self._sign_in.secret(request) or ""
            decided = await decide_change(self._desk, secret, change, approve=decision == "approve")
        except HubError as error:
            return await self._changes_page(request, error)
        return await self._changes_page(request, second_code=decided.second_code)

    async def _changes_page(
        self, request: Request, error: HubError | None = None, second_code: str | None = None
    ) -> Response:
        visit = self._guard.visit(request)
        secret = self._sign_in.secret(request)
        if secret is None:
            return go("/sign-in?next=/accounts/changes")
        waiting: list[PendingChange] = []
        try:
            waiting = await pending_changes(self._desk, secret)
        except HubError as found:
            error = error or found
        return self._pages.show(
            "sign_in_changes.html", visit, 200 if error is None else status_of(error),
            notice=None if error is None else notice_of(error),
            changes=[_shown(each) for each in waiting], verbs=VERBS, second_code=second_code,
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """The pages' routes."""
        return [
            Route("/enrol", self.page, methods=["GET"]),
            Route("/enrol", self.with_code, methods=["POST"]),
            Route("/enrol/passkey", self.with_passkey, methods=["POST"]),
            Route("/accounts/changes", self.changes, methods=["GET"]),
            Route("/accounts/changes", self.decide, methods=["POST"]),
        ]


def people_routes(desk: AccountDesk, sign_in: SignInDesk, public_url: str, assistance: AssistanceDesk) -> list[Route]:
    """All pages of people: signing in and out, enrolling a passkey, approvals, help at the desk."""
    guard = FormGuard(desk.keys, Cookies(public_url))
    passkeys, pages = Passkeys(public_url, desk.keys, desk.clock), Pages(guard)
    return [
        *sign_in_routes(SignInPages(desk, sign_in, passkeys, guard, pages)),
        *EnrolPages(desk, sign_in, passkeys, guard, pages).routes(),
        *AssistPages(assistance, sign_in, guard, pages).routes(),
        *BreachPages(desk, sign_in, guard, pages).routes(),
    ]


def _codes(form: dict[str, str]) -> Codes:
    return Codes(form.get("code", ""), form.get("second", ""))


def _shown(change: PendingChange) -> dict[str, Any]:
    at = change.proposed_at.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M")
    return {
        "change_id": change.change_id,
        "account_id": change.account_id,
        "role": change.role,
        "verb": change.verb,
        "proposed_by": change.proposed_by,
        "proposed_at": at,
        "organisation_id": change.organisation_id,
        "is_own": change.is_own,
        "key_digest": None if change.key_digest is None else change.key_digest.hex(),
    }


def _change_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _unreadable() from None


def _unreadable() -> InputError:
    return InputError("the form cannot be read.", remedy="Open the page again.", code="FORM_UNREADABLE")


def _unknown() -> RefusedError:
    return RefusedError("no passkey can be enrolled with this code.", code="ENROLMENT_UNKNOWN")
