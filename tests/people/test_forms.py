"""Where a sign-in leads to, and which cookies it gives."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from hub.auth.forms import Cookies, local_path

HERE = "https://hub.example"


@given(st.text() | st.text(alphabet="/\\:@?#.\t\n ae").map(lambda text: "/" + text))
def test_no_text_leads_to_another_host(wanted: str) -> None:
    # Browsers drop tabs and line ends and read \ as / before they look at a URL.
    path = local_path(wanted)
    read = "".join(path.split("\t")).replace("\r", "").replace("\n", "").replace("\\", "/")
    assert urlsplit(urljoin(HERE + "/sign-in", read)).netloc == "hub.example"
    assert path.startswith("/")


@pytest.mark.parametrize("path", ["/", "/explorer", "/oauth2/authorize?client_id=a&request_uri=urn%3Ax", "/a#b"])
def test_paths_of_the_hub_stay(path: str) -> None:
    assert local_path(path) == path


@pytest.mark.parametrize(
    "wanted",
    [None, "", "//evil.example", "/\\evil.example", "/\t/evil.example", "https://evil.example", "a", "/" * 5000],
)
def test_everything_else_leads_to_the_start(wanted: str | None) -> None:
    assert local_path(wanted) == "/"


def test_cookies_over_https_are_bound_to_the_host() -> None:
    response = Response()
    Cookies("https://hub.example").put(response, "hub-session", "x")
    given = response.headers["set-cookie"]
    assert given.startswith("__Host-hub-session=x; ")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(given.split("; "))
    assert "Domain" not in given


def test_cookies_on_this_machine_have_no_prefix() -> None:
    response = Response()
    Cookies("http://localhost:8000").put(response, "hub-session", "x")
    given = response.headers["set-cookie"]
    assert given.startswith("hub-session=x; ")
    assert "Secure" not in given
    assert "HttpOnly" in given
