"""The pages ``/sign-in`` and ``/sign-out``. Codes work without scripts; a passkey needs one small script of the hub's.

Answers never tell whether an account exists: a refusal has one text.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from hub.auth.forms import MARK, FormGuard, local_path, read_form
from hub.auth.page_files import file_routes, page_templates
from hub.auth.passkeys import Passkeys
from hub.auth.sign_in import SignInDesk
from hub.core.errors import HubError, InputError, RefusedError
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.begin_session import Begun, begin_by_code, begin_by_passkey

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
"""What the pages may do: own script and style, forms to the hub, no frames, nothing from elsewhere."""

_ACCOUNT_MAX = 64

Notice = tuple[str, str]
"""A sentence in Chinese and in English."""

NOTICES: dict[str, Notice] = {
    "SIGN_IN_REFUSED": (
        "未能登录。验证码五分钟内有效，最多可试五次；通行密钥须是在本平台登记的。",
        "That did not sign you in. A code is good for five minutes and five tries; a passkey must be enrolled here.",
    ),
    "STEP_UP_REQUIRED": (
        "此类账户须用通行密钥登录（两种因素）。",
        "Accounts of this kind sign in with a passkey (two factors).",
    ),
    "PASSKEY_COPIED": (
        "此通行密钥可能被复制，已记录。请联系管理员停用它。",
        "There may be a copy of this passkey; this was recorded. Have it revoked by the operator.",
    ),
    "FORM_FOREIGN": ("页面已过期，请重试。须允许使用 Cookie。", "The page was too old; try again. Allow cookies."),
    "ENROLMENT_UNKNOWN": (
        "登记码不正确、已用过或已过期。",
        "The enrolment code is not right, was used, or has run out.",
    ),
    "PASSKEY_KNOWN": ("此通行密钥已登记。", "This passkey is enrolled already."),
    "NOT_ALLOWED": (
        "须由另一位用通行密钥登录的安全管理员办理。",
        "Another security administrator, signed in with a passkey, does this.",
    ),
    "ACCOUNT_UNKNOWN": ("没有此项，或已处理。", "There is no such thing any more."),
    "BREACH_STATE": ("此事件没有待决定的评估。", "No assessment of this breach waits for a decision."),
    "ASSISTANCE_REFUSED": (
        "此查询码在本柜台不能使用：请核对账户和查询码；查询码七日内有效、只能用一次、最多可试五次。",
        "This code opens nothing at this desk. A code is good for seven days, once, and for five tries.",
    ),
    "ASSISTANCE_LIMIT": (
        "本柜台今日协助查询次数已达上限，已通知监管人员。",
        "This desk has reached its limit of today; supervisors were told.",
    ),
    "SIGNED_OUT": ("您已退出。", "You are signed out."),
    "PASSKEY_ENROLLED": ("通行密钥已登记，请用它登录。", "The passkey is enrolled; sign in with it."),
    "UNAVAILABLE": ("系统暂时不可用，请稍后再试。", "The hub cannot answer at the moment; try again later."),
}
NOTICES["CHALLENGE_USED"] = NOTICES["FORM_FOREIGN"]
NOTICES["FORM_UNREADABLE"] = NOTICES["FORM_FOREIGN"]


def notice_of(error: HubError) -> Notice:
    """What a person is told about a refusal."""
    if not isinstance(error, RefusedError | InputError):
        return NOTICES["UNAVAILABLE"]
    return NOTICES.get(error.code, NOTICES["SIGN_IN_REFUSED"])


def status_of(error: HubError) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, RefusedError):
        return 403
    return 400 if isinstance(error, InputError) else 503


class Pages:
    """Renders the templates of this folder, each with the headers of a page that shows something of one person."""

    def __init__(self, guard: FormGuard) -> None:
        self._guard = guard
        self._templates = page_templates()

    def show(self, name: str, visit: str, status: int = 200, **values: Any) -> Response:
        """A page whose forms carry the mark of the browser of ``visit`` (:meth:`FormGuard.visit`)."""
        text = self._templates.get_template(name).render({"notice": None, MARK: self._guard.mark(visit)} | values)
        response = Response(text, status, media_type="text/html")
        response.headers["content-security-policy"] = CONTENT_POLICY
        self._guard.keep(response, visit)
        return response


def go(path: str) -> Response:
    """On to another page of the hub; the method becomes GET."""
    return RedirectResponse(path, 303)


class SignInPages:
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
        """Show the ways to sign in; who is signed in already goes on, or may sign out."""
        next_path = local_path(request.query_params.get("next"))
        try:
            signed_in = await self._sign_in.of(request)
        except HubError as error:
            return self._page(request, next_path, notice=notice_of(error), status=status_of(error))
        if signed_in is not None and next_path != "/":
            return go(next_path)
        notice = NOTICES.get(request.query_params.get("notice", ""))
        return self._page(request, next_path, notice=notice, account=signed_in.account_id if signed_in else None)

    async def with_passkey(self, request: Request) -> Response:
        """Take the answer of a passkey."""

        async def begin(form: dict[str, str], visit: str) -> Begun:
            asked = self._passkeys.read_ticket(form.get("ticket", ""), "get", visit)
            answer = form.get("answer", "")
            credential = self._passkeys.credential_id(answer)
            async with self._desk.reading() as conn:
                known = await conn.fetchrow("SELECT * FROM auth.find_passkey($1)", credential)
            return await begin_by_passkey(self._desk, self._passkeys.answered(answer, asked, known))

        return await self._begin(request, begin)

    async def with_code(self, request: Request) -> Response:
        """Take a one-time code."""

        async def begin(form: dict[str, str], _: str) -> Begun:
            account, code = form.get("account", "").strip(), form.get("code", "").strip()
            return await begin_by_code(self._desk, account[:_ACCOUNT_MAX], code)

        return await self._begin(request, begin)

    async def leave(self, request: Request) -> Response:
        """Sign out; by a form only, so that no link of another site does it."""
        try:
            self._guard.check(request, await read_form(request))
            response = go("/sign-in?notice=SIGNED_OUT")
            await self._sign_in.leave(request, response)
        except HubError as error:
            return self._page(request, "/", notice=notice_of(error), status=status_of(error))
        return response

    async def _begin(self, request: Request, begin: Callable[[dict[str, str], str], Awaitable[Begun]]) -> Response:
        next_path = "/"
        try:
            form = await read_form(request)
            next_path = local_path(form.get("next"))
            visit = self._guard.check(request, form)
            begun = await begin(form, visit)
        except HubError as error:
            return self._page(request, next_path, notice=notice_of(error), status=status_of(error))
        response = go(next_path)
        self._sign_in.welcome(response, begun)
        return response

    def _page(
        self,
        request: Request,
        next_path: str,
        *,
        notice: Notice | None = None,
        account: str | None = None,
        status: int = 200,
    ) -> Response:
        visit = self._guard.visit(request)
        ticket = self._passkeys.ticket("get", visit)
        options = self._passkeys.request_options(ticket) if self._passkeys.are_possible else ""
        return self._pages.show(
            "sign_in.html", visit, status,
            notice=notice, account=account, next=next_path, ticket=ticket, options=options,
        )  # fmt: skip


def sign_in_routes(pages: SignInPages) -> list[Route]:
    """The pages of signing in and out, with their style and script."""
    return [
        Route("/sign-in", pages.page, methods=["GET"]),
        Route("/sign-in/passkey", pages.with_passkey, methods=["POST"]),
        Route("/sign-in/code", pages.with_code, methods=["POST"]),
        Route("/sign-out", pages.leave, methods=["POST"]),
        *file_routes(),
    ]
