"""The page ``/breaches``, where a security administrator decides on the assessment of a breach."""

from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hub.auth.forms import FormGuard, read_form
from hub.auth.sign_in import SignInDesk
from hub.auth.sign_in_pages import Pages, go, notice_of, status_of
from hub.core.clock import iso
from hub.core.errors import HubError, InputError
from hub.flows.duties.breaches import breaches_to_decide, decide_breach
from hub.flows.people.account_desk import AccountDesk


class BreachPages:
    """What the page does."""

    def __init__(self, desk: AccountDesk, sign_in: SignInDesk, guard: FormGuard, pages: Pages) -> None:
        self._desk = desk
        self._sign_in = sign_in
        self._guard = guard
        self._pages = pages

    async def page(self, request: Request) -> Response:
        """Show what waits for a decision."""
        return await self._page(request)

    async def decide(self, request: Request) -> Response:
        """Take a decision."""
        try:
            form = await read_form(request)
            self._guard.check(request, form)
            breach, seen, approve = _read(form)
            await decide_breach(self._desk, self._sign_in.secret(request) or "", breach, seen, approve=approve)
        except HubError as error:
            return await self._page(request, error)
        return await self._page(request)

    async def _page(self, request: Request, error: HubError | None = None) -> Response:
        visit, secret = self._guard.visit(request), self._sign_in.secret(request)
        if secret is None:
            return go("/sign-in?next=/breaches")
        waiting = []
        try:
            waiting = await breaches_to_decide(self._desk, secret)
        except HubError as found:
            error = error or found
        return self._pages.show(
            "breaches.html", visit, 200 if error is None else status_of(error),
            notice=None if error is None else notice_of(error),
            breaches=[each | {"discovered_at": iso(each["discovered_at"])} for each in waiting],
        )  # fmt: skip

    def routes(self) -> list[Route]:
        """The page's routes."""
        return [Route("/breaches", self.page, methods=["GET"]), Route("/breaches", self.decide, methods=["POST"])]


def _read(form: dict[str, str]) -> tuple[UUID, bytes, bool]:
    try:
        decision = {"approve": True, "refuse": False}[form.get("decision", "")]
        return UUID(form.get("breach", "")), bytes.fromhex(form.get("seen", "")), decision
    except (ValueError, KeyError):
        raise InputError("the form cannot be read.", remedy="Open the page again.", code="FORM_UNREADABLE") from None
