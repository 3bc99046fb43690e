"""Forms that only the hub's own pages can send: each carries a mark that belongs to a cookie of the same browser.

Other sites can make a browser send a form, but neither read the mark nor set the cookie (``__Host-`` over https). It
works without a session, so that nobody can be signed in by somebody else's form either.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from collections import defaultdict
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from hub.core.errors import InputError, RefusedError
from hub.store.keys import KeyService

MARK = "mark"
"""Name of the hidden field."""

_FIELDS_MAX = 200
_VISIT_BYTES = 18
_VISIT_MAX = 64
_NEXT_MAX = 4096


class Cookies:
    """The hub's cookies: over https bound to this host and path, never readable by scripts."""

    def __init__(self, public_url: str) -> None:
        self._is_https = urlsplit(public_url).scheme == "https"

    def name(self, plain: str) -> str:
        """The full name of a cookie."""
        return f"__Host-{plain}" if self._is_https else plain

    def read(self, request: Request, plain: str) -> str | None:
        """The value that the browser sent."""
        return request.cookies.get(self.name(plain))

    def put(self, response: Response, plain: str, value: str) -> None:
        """Give the browser a cookie that it forgets when it is closed."""
        response.set_cookie(self.name(plain), value, path="/", secure=self._is_https, httponly=True, samesite="lax")

    def remove(self, response: Response, plain: str) -> None:
        """Make the browser forget a cookie."""
        response.delete_cookie(self.name(plain), path="/", secure=self._is_https, httponly=True, samesite="lax")


class FormGuard:
    """Gives forms their marks and refuses forms without."""

    _COOKIE = "hub-visit"

    def __init__(self, keys: KeyService, cookies: Cookies) -> None:
        self._keys = keys
        self._cookies = cookies

    def visit(self, request: Request) -> str:
        """The secret of this browser: what it sent, or a fresh one, which :meth:`keep` must hand out."""
        sent = self._cookies.read(request, self._COOKIE)
        return sent if sent and len(sent) <= _VISIT_MAX and sent.isascii() else secrets.token_urlsafe(_VISIT_BYTES)

    def keep(self, response: Response, visit: str) -> None:
        """Let the browser keep its secret."""
        self._cookies.put(response, self._COOKIE, visit)

    def mark(self, visit: str) -> str:
        """The mark of a form shown to this browser."""
        return _text(self._keys.index("form", visit))

    def check(self, request: Request, form: dict[str, str]) -> str:
        """The browser's secret. Raises :class:`RefusedError` (FORM_FOREIGN) for a form that no page of ours showed."""
        visit = self._cookies.read(request, self._COOKIE) or ""
        given = form.get(MARK, "").encode()
        good = [hmac.compare_digest(given, _text(each).encode()) for each in self._keys.indexes("form", visit)]
        if not visit or True not in good:
            raise RefusedError(
                "this form was not shown by the hub to this browser.",
                remedy="Open the page again; cookies must be allowed.",
                code="FORM_FOREIGN",
            )
        return visit


def _text(index: bytes) -> str:
    return urlsafe_b64encode(index).decode()


def fields_of(body: bytes, content_type: str, *, fields_max: int) -> dict[str, list[str]]:
    """The fields of a form body (``application/x-www-form-urlencoded``) with all their values, in order.

    Raises :class:`ValueError` for what is no such form or holds more fields.
    """
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise ValueError("not a form")
    found: defaultdict[str, list[str]] = defaultdict(list)
    pairs = parse_qsl(
        body.decode("ascii"), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=fields_max
    )
    for name, value in pairs:
        found[name].append(value)
    return dict(found)


def single_fields(fields: dict[str, list[str]]) -> dict[str, str]:
    """The one value of each field. Raises :class:`ValueError` where a field is repeated."""
    if any(len(values) > 1 for values in fields.values()):
        raise ValueError("a field is repeated")
    return {name: values[0] for name, values in fields.items()}


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a posted form. Raises :class:`InputError` for what is no form or repeats a field."""
    try:
        content_type = request.headers.get("content-type", "")
        form = single_fields(fields_of(await request.body(), content_type, fields_max=_FIELDS_MAX))
    except ValueError:
        raise _unreadable() from None
    if any("\0" in value for value in form.values()):
        raise _unreadable()
    return form


def _unreadable() -> InputError:
    return InputError("the form cannot be read.", remedy="Open the page again.", code="FORM_UNREADABLE")


def local_path(wanted: str | None) -> str:
    r"""Where to go on: a path of this hub, ``/`` for everything else.

    Browsers read ``//host`` and ``/\host`` as other hosts and skip tabs and line ends, so none of these passes.
    """
    text = wanted or "/"
    is_local = (
        text.startswith("/")
        and not text.startswith(("//", "/\\"))
        and text.isascii()
        and text.isprintable()
        and not set(text) & {"\\", " "}
        and len(text) <= _NEXT_MAX
    )
    return text if is_local else "/"
