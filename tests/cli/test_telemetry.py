"""Nothing personal and no secret passes into a log line."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from hub import telemetry
from hub.telemetry import redact


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize(
    "secret",
    [
        "533103199001011234",
        "53310319900101123X",
        "533103900101123",
        "53310319900101123444",
        "533103 19900101 1234",
        "13812345678",
        "+86 138 1234 5678",
        "6222021234567890123",
        "6222 0212 3456 7890",
        "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
    ],
)
def test_known_shapes_are_struck_out(secret: str) -> None:
    assert redact(f"before {secret}, after") == "before [redacted], after"


def test_credentials_of_headers_and_addresses_are_struck_out() -> None:
    assert "s3cretvalue" not in redact("Authorization: Bearer s3cretvalue-abc")
    assert redact("postgresql://hub:s3cret@db/hub") == "postgresql://[redacted]@db/hub"


@given(st.text(alphabet="0123456789", min_size=15, max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_no_long_run_of_digits_survives(digits: str, before: str, after: str) -> None:
    assert digits not in redact(before + digits + after)


def test_what_an_operator_needs_survives() -> None:
    line = "2026-11-21T19:20:01+08:00 source tax: 1203 rows, page 17, 533103, 402739000011, 12.5 s"
    assert redact(line) == line


def test_json_lines_of_ours_and_of_libraries_are_clean() -> None:
    out = io.StringIO()
    telemetry.configure("debug", "json", out)
    structlog.contextvars.bind_contextvars(request="r-1")
    structlog.get_logger("hub.test").info("pulled", rows=3, token="abc", phone="x", detail={"id": "533103199001011234"})
    logging.getLogger("library").warning("row %s refused", "13812345678")
    try:
        raise ValueError("bad 533103199001011234")
    except ValueError:
        structlog.get_logger("hub.test").exception("failed")
    structlog.contextvars.clear_contextvars()
    first, second, third = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["event"], first["rows"], first["request"], first["level"]) == ("pulled", 3, "r-1", "info")
    assert (first["token"], first["phone"], first["detail"]["id"]) == ("[redacted]",) * 3
    assert second["event"] == "row [redacted] refused"
    assert "ValueError: bad [redacted]" in third["exception"]


def test_text_lines_are_clean_too() -> None:
    out = io.StringIO()
    telemetry.configure("info", "text", out)
    structlog.get_logger("hub.test").info("pulled", account="6222021234567890123")
    structlog.get_logger("hub.test").debug("not shown")
    assert "6222" not in out.getvalue()
    assert out.getvalue().count("\n") == 1
