"""Pushed authorization requests (RFC 9126): everything that is asked comes over the back channel, authenticated.

So nothing about a person stands in a URL, and nothing can be changed on its way through the browser.
"""

import re
from dataclasses import dataclass
from datetime import date

from authlib.oauth2.rfc6749.errors import InvalidRequestError, InvalidScopeError, UnsupportedResponseTypeError

from hub.auth.client_assertion import Client
from hub.auth.rar import ConsentWanted, InvalidDetailsError, read_details

URI_PREFIX = "urn:ietf:params:oauth:request_uri:"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_STATE = re.compile(r"[\x20-\x7e]{1,2048}")


@dataclass(frozen=True, slots=True)
class Push:
    """A pushed request whose form is right. ``wanted`` is ``None`` where an app asks to act for whoever signs in."""

    redirect_uri: str
    state: str | None
    code_challenge: str
    proof_key: str | None
    wanted: ConsentWanted | None


def check_push(form: dict[str, str], client: Client, today: date) -> Push:
    """Check the parameters of a pushed request. Raises an error of OAuth, which never redirects."""
    if {"request", "request_uri"} & set(form):
        raise InvalidRequestError("A pushed request is sent as form parameters.")
    if form.get("response_type") != "code" or form.get("response_mode", "query") != "query":
        raise _NoSuchResponseError("code")
    if not client.check_redirect_uri(form.get("redirect_uri", "")):
        raise InvalidRequestError("redirect_uri is not registered for this client, to the letter.")
    if form.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(form.get("code_challenge", "")):
        raise InvalidRequestError("PKCE with S256 is needed.")
    if form.get("scope"):
        raise InvalidScopeError
    if form.get("grant_management_action", "create") != "create" or "grant_id" in form:
        raise InvalidRequestError("A grant is created; it is never merged or replaced.")
    state, key = form.get("state"), form.get("dpop_jkt")
    if state is not None and not _STATE.fullmatch(state):
        raise InvalidRequestError("state is not 1 to 2048 printable characters.")
    if key is not None and not _CHALLENGE.fullmatch(key):
        raise InvalidRequestError("dpop_jkt is no thumbprint.")
    return Push(form["redirect_uri"], state, form["code_challenge"], key, _wanted(form, client, today))


def _wanted(form: dict[str, str], client: Client, today: date) -> ConsentWanted | None:
    details = form.get("authorization_details")
    if client.registered.organisation_id is None:
        if details is not None:
            raise InvalidDetailsError("An app asks for nobody's consent.")
        return None
    if details is None:
        raise InvalidRequestError("authorization_details is needed.")
    return read_details(details, today)


class _NoSuchResponseError(UnsupportedResponseTypeError):  # type: ignore[misc]
    """``unsupported_response_type`` without repeating what was asked."""

    def get_error_description(self) -> str:
        return "Only response_type code with response_mode query is served."
