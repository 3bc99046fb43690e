"""Settings: read once, refused with one clear sentence."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.core.errors import SettingsError
from hub.settings import as_markdown, load


def test_defaults_need_no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load({"HUB_HOME": str(tmp_path)})
    assert (settings.home, settings.port, settings.database_url) == (tmp_path, 8000, None)
    assert settings.keys_folder == settings.store_options().keys_folder == tmp_path / "keys"


def test_the_environment_wins_over_the_file_and_empty_means_not_set(tmp_path: Path) -> None:
    (tmp_path / "settings.env").write_text("# our port\nHUB_PORT=8100\nHUB_LOG_LEVEL = warning\n\n")
    assert load({"HUB_HOME": str(tmp_path)}).port == 8100
    settings = load({"HUB_HOME": str(tmp_path), "HUB_PORT": "8200", "HUB_LOG_LEVEL": ""})
    assert (settings.port, settings.log_level) == (8200, "warning")


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("HUB_PORT", "80a", "whole number from 1 to 65535"),
        ("HUB_PORT", "٨٠", "whole number"),
        ("HUB_PORT", "70000", "whole number"),
        ("HUB_LOG_LEVEL", "loud", "one of debug, info"),
        ("HUB_PUBLIC_URL", "hub.example", "must look like https://host"),
        ("HUB_HOST", "a b", "white space"),
    ],
)
def test_a_wrong_value_is_named_but_not_repeated(tmp_path: Path, variable: str, text: str, sentence: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"HUB_HOME": str(tmp_path), variable: text})
    assert variable in caught.value.message
    assert sentence in caught.value.message
    assert text not in str(caught.value)
    assert caught.value.remedy


def test_a_mistyped_variable_is_refused_with_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Did you mean HUB_PORT"):
        load({"HUB_HOME": str(tmp_path), "HUB_PROT": "1"})
    load({"HUB_HOME": str(tmp_path), "HUB_TEST_ANYTHING": "1"})


@pytest.mark.parametrize("content", [b"HUB_PORT", b"PORT=1", b"HUB_PORT=1\nHUB_PORT=2", b"\xff\xfe", b"HUB_HOME=/x"])
def test_a_broken_settings_file_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "settings.env").write_bytes(content)
    with pytest.raises(SettingsError, match=r"settings\.env"):
        load({"HUB_HOME": str(tmp_path)})


def test_an_unreadable_settings_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "settings.env").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load({"HUB_HOME": str(tmp_path)})


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_any_text_as_port_is_a_port_or_a_settings_error(text: str) -> None:
    environment = {"HUB_HOME": "/nonexistent", "HUB_PORT": text}
    if not text or (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        assert load(environment).port == int(text or 8000)
        return
    with pytest.raises(SettingsError, match="HUB_PORT"):
        load(environment)


def test_every_setting_is_documented() -> None:
    text = as_markdown()
    assert text.count("| `HUB_") >= 8
    assert "`HUB_DATABASE_URL` | not set" in text
