"""The page ``/assist`` of the village desk: a resident's own code opens one look at his own record.

The assistant is signed in with his own passkey. Nothing of the answer is kept in the browser: no cookie, no cache, and
going back asks for a new code.
"""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.auth.forms import FormGuard, read_form
from hub.auth.sign_in import SignInDesk
from hub.auth.sign_in_pages import Notice, Pages, go, notice_of, status_of
from hub.core.errors import HubError, InputError
from hub.core.fields import FIELDS
from hub.flows.people.assist_resident import AssistanceDesk, AssistanceReason, Wanted, assist

REASONS: dict[AssistanceReason, Notice] = {
    AssistanceReason.NO_PHONE: ("没有手机", "No phone"),
    AssistanceReason.NO_SIGNAL: ("此处没有信号", "No signal here"),
    AssistanceReason.CANNOT_READ: ("不识字", "Does not read"),
    AssistanceReason.DISABILITY: ("身体不便", "A disability"),
}
"""Why help is needed, in words."""

LABELS: dict[str, str] = {}
"""Chinese labels of the names that stand in sections."""
for _field_id, _field in FIELDS.items():
    LABELS.setdefault(_field_id.split(".")[1], _field.label)

_ACCOUNT_MAX, _CODE_MAX = 64, 8


class AssistPages:
    """What the page does."""

    def __init__(self, desk: AssistanceDesk, sign_in: SignInDesk, guard: FormGuard, pages: Pages) -> None:
        self._desk = desk
        self._sign_in = sign_in
        self._guard = guard
        self._pages = pages

    async def page(self, request: Request) -> Response:
        """Ask for the resident's account and code."""
        return self._ask(request)

    async def look(self, request: Request) -> Response:
        """Show what the code opens."""
        secret = self._sign_in.secret(request)
        if secret is None:
            return go("/sign-in?next=/assist")
        try:
            form = await read_form(request)
            visit = self._guard.check(request, form)
            account, code, reason, wanted = _read(form)
            shown = await assist(self._desk, secret, account, code, reason, wanted)
        except HubError as error:
            return self._ask(request, error)
        return self._pages.show("assist_record.html", visit, shown=shown, labels=LABELS)

    def _ask(self, request: Request, error: HubError | None = None) -> Response:
        if self._sign_in.secret(request) is None:
            return go("/sign-in?next=/assist")
        visit = self._guard.visit(request)
        notice = None if error is None else notice_of(error)
        return self._pages.show(
            "assist.html", visit, 200 if error is None else status_of(error), notice=notice, reasons=REASONS
        )

    def routes(self) -> list[Route]:
        """The page's routes."""
        return [Route("/assist", self.page, methods=["GET"]), Route("/assist", self.look, methods=["POST"])]


def _read(form: dict[str, str]) -> tuple[str, str, AssistanceReason, Wanted]:
    def text(name: str) -> Any:
        return form.get(name, "").strip()

    try:
        reason, wanted = AssistanceReason(text("reason")), Wanted(text("wanted"))
    except ValueError:
        raise InputError("the form cannot be read.", remedy="Open the page again.", code="FORM_UNREADABLE") from None
    return text("account")[:_ACCOUNT_MAX], text("code")[:_CODE_MAX], reason, wanted
