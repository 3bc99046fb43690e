"""Listening: told in one sentence when it is not possible."""

import socket
from pathlib import Path

import pytest

from hub.app import token_issuer
from hub.core.errors import SettingsError
from hub.main import listen
from hub.settings import load
from hub.store.keys import FileKeys


def test_a_free_port_is_listened_on() -> None:
    bound = listen("127.0.0.1", 0)
    assert bound.getsockname()[1] > 0
    bound.close()


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SettingsError) as refusal:
            listen("127.0.0.1", port)
    assert refusal.value.code == "PORT_IN_USE"
    assert str(port) in refusal.value.message
    assert "HUB_PORT" in refusal.value.remedy


def test_a_foreign_address_is_told() -> None:
    with pytest.raises(SettingsError) as refusal:
        listen("192.0.2.1", 8000)
    assert "cannot be listened on" in refusal.value.message


def test_tokens_are_not_issued_over_plain_http(tmp_path: Path) -> None:
    keys = FileKeys(tmp_path / "keys")
    for url in ("http://hub.example", "http://10.0.0.7:8000"):
        with pytest.raises(SettingsError, match="neither https"):
            token_issuer(load({"HUB_HOME": str(tmp_path), "HUB_PUBLIC_URL": url}), keys)
    issuer = token_issuer(load({"HUB_HOME": str(tmp_path), "HUB_PUBLIC_URL": "https://hub.example"}), keys)
    assert issuer.audience == "https://hub.example/graphql"
