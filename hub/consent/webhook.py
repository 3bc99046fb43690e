"""Telling an organisation's own endpoint: one signed message, to an address that cannot be one of ours.

An address is registered by an operator, yet it is somebody else's: it may lead anywhere by the time it is used. So only
https is spoken, every address behind the name must lie on the public network, the connection goes to the very address
that was looked at, redirects are not followed and nothing of the answer is read but its status.
"""

import asyncio
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import httpx

from hub.consent.record import NOTICE_TYPE, sign_detached
from hub.core.errors import InputError
from hub.store.keys import KeyService

SIGNATURE_HEADER = "Hub-Signature"
"""Carries the detached JWS over the body, byte for byte."""

_SECONDS = 10.0
_LOCAL_NAMES = frozenset({"127.0.0.1", "::1", "localhost"})
_TRANSLATED = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""Ranges of IPv6 in which an IPv4 address is hidden (NAT64, 6to4, Teredo)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to tell, as the outbox holds it; ``is_local`` where the endpoint is a sandbox's own machine."""

    delivery_id: str
    url: str
    is_local: bool
    body: str


def check_endpoint(url: str, *, is_local: bool) -> str:
    """The address if it can be one to send to. Raises :class:`InputError`; the name is looked up at each sending."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _malformed() from None
    schemes = {"http", "https"} if is_local else {"https"}
    if (
        parts.scheme not in schemes
        or not parts.hostname
        or parts.username is not None
        or parts.fragment
        or port == 0
        or len(url) > 500
        or not url.isascii()
        or any(c.isspace() for c in url)
        or (is_local and parts.hostname not in _LOCAL_NAMES)
        or (not is_local and _is_number(parts.hostname))
    ):
        raise _malformed()
    return url


async def send(client: httpx.AsyncClient, keys: KeyService, message: Message) -> str:
    """Send once; gives ``OK``, or a code that says what went wrong: UNSAFE_ADDRESS, NO_ADDRESS, UNREACHED, HTTP_nnn.

    The time is limited as a whole, look-up included: one that answers a byte at a time holds nobody up.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            return await _send(client, keys, message)
    except TimeoutError:
        return "UNREACHED"


async def _send(client: httpx.AsyncClient, keys: KeyService, message: Message) -> str:
    parts = urlsplit(message.url)
    host = parts.hostname or ""
    try:
        addresses = await _look_up(host, parts.port or (443 if parts.scheme == "https" else 80))
    except socket.gaierror:
        return "NO_ADDRESS"
    if not message.is_local and not all(is_public(address) for address in addresses):
        return "UNSAFE_ADDRESS"
    body = message.body.encode()
    headers = {
        "Host": parts.netloc,
        "Content-Type": "application/json",
        "Hub-Delivery": message.delivery_id,
        SIGNATURE_HEADER: sign_detached(keys, NOTICE_TYPE, body),
    }
    try:
        request = client.build_request(
            "POST",
            _at_address(parts, addresses[0]),
            content=body,
            headers=headers,
            timeout=None,
            extensions={"sni_hostname": host},
        )
        response = await client.send(request, stream=True, follow_redirects=False)
        await response.aclose()
    except (httpx.HTTPError, OSError):
        return "UNREACHED"
    return "OK" if response.is_success else f"HTTP_{response.status_code}"


def is_public(address: str) -> bool:
    """Whether an address lies on the public network, looking through the ways in which IPv6 hides an IPv4 address."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return is_public(str(found.ipv4_mapped))
        if any(found in network for network in _TRANSLATED):
            return False
    return found.is_global and not found.is_multicast


async def _look_up(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _at_address(parts: SplitResult, address: str) -> str:
    """The same address with the number in place of the name, so that nothing is looked up a second time."""
    number = f"[{address}]" if ":" in address else address
    return parts._replace(netloc=number if parts.port is None else f"{number}:{parts.port}").geturl()


def _is_number(host: str) -> bool:
    """Whether a host is written as a number, in any of the ways that system libraries read."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host.rpartition(".")[2][:1].isdigit()
    return True


def _malformed() -> InputError:
    return InputError(
        "An endpoint is https://NAME/..., without user, fragment or number in place of the name.",
        remedy="Ask the organisation for its public address; a sandbox may use this machine itself with --local.",
        code="ENDPOINT_MALFORMED",
    )
