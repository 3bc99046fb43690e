"""The settings of the hub: one table, read once at the start.

Each field of :class:`Settings` is one setting: the environment variable, how its text is read, the default, and what it
means. A file ``HUB_HOME/settings.env`` may hold the same variables, one ``NAME=value`` per line; the environment wins.
Printed as docs/SETTINGS.md.
"""

import dataclasses
import difflib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from hub.access.legal_mode import LegalMode
from hub.core.errors import SettingsError
from hub.store.prepare import StoreOptions
from hub.store.suites import Algorithm

FILE_NAME = "settings.env"
"""Name of the settings file inside HUB_HOME."""

_OTHERS = ("HUB_TEST_", "HUB_BENCH_")
"""Beginnings of variables that the hub itself never reads."""


def _folder(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"it must be a whole number from {low} to {high}")
        return int(text)

    return read


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"it must be one of {', '.join(words)}")
        return text

    return read


def _legal_mode(text: str) -> LegalMode:
    return LegalMode(_one_of(*LegalMode)(text))


def _address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("it must look like https://host or http://host:port")
    return text.rstrip("/")


def _word(text: str) -> str:
    if any(character.isspace() for character in text):
        raise ValueError("it must not contain white space")
    return text


def _setting(variable: str, read: Callable[[str], Any], default: str | None, meaning: str, shown: str = "") -> Any:
    return dataclasses.field(
        metadata={"variable": variable, "read": read, "default": default, "meaning": meaning, "shown": shown}
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, read and checked."""

    home: Path = _setting(  # noqa: RUF009 - makes a field, as dataclasses.field does
        "HUB_HOME",
        _folder,
        platformdirs.user_data_dir("credit-hub"),
        "Folder of the hub's data and keys; made when missing.",
        shown="the user's data directory, for instance `~/.local/share/credit-hub`",
    )
    database_url: str | None = _setting(
        "HUB_DATABASE_URL",
        _word,
        None,
        "An external PostgreSQL 18, `postgresql://login:password@host:5432/name?sslmode=verify-full&sslrootcert=FILE`. "
        "The login owns the database and may make roles. Unset: the embedded server.",
    )
    host: str = _setting("HUB_HOST", _word, "127.0.0.1", "Address on which the API listens.")
    port: int = _setting("HUB_PORT", _number(1, 65535), "8000", "Port on which the API listens.")
    metrics_host: str = _setting("HUB_METRICS_HOST", _word, "127.0.0.1", "Address on which metrics are offered.")
    metrics_port: int | None = _setting(
        "HUB_METRICS_PORT",
        _number(1, 65535),
        None,
        "Port on which metrics are offered at `/metrics`, apart from the API. Unset: nowhere.",
    )
    public_url: str = _setting(
        "HUB_PUBLIC_URL",
        _address,
        "http://127.0.0.1:8000",
        "Address under which clients reach the hub; tokens and proofs are bound to it.",
    )
    environment: str = _setting(
        "HUB_ENVIRONMENT",
        _one_of("sandbox", "production"),
        "sandbox",
        "`production`: real people's data. Then access rules need the approval of two administrators, and a source the "
        "impact assessment of its data, before either is used.",
    )
    legal_mode: LegalMode = _setting(  # noqa: RUF009 - makes a field, as dataclasses.field does
        "HUB_LEGAL_MODE",
        _legal_mode,
        LegalMode.LICENSED_BUREAU,
        "As what the hub works before the law, which decides on rules, bases and retention (docs/LEGAL-MODES.md): "
        "`LICENSED_BUREAU`, `PUBLIC_PLATFORM` or `FINANCIAL_DATABASE`.",
    )
    shadow_share: int = _setting(
        "HUB_SHADOW_PER_MILLE",
        _number(0, 1000),
        "10",
        "Of a thousand recorded decisions, how many are run again through Cedar to see whether the gate did what the "
        "rules say. 0: none.",
    )
    even_step: int = _setting(
        "HUB_EVEN_STEP_MS",
        _number(1, 1000),
        "100",
        "Denials, for a minute all other answers to the same organisation, and answers about eligibility and to "
        "requests for consent leave at a whole multiple of so many milliseconds after the question, so that their "
        "time says nothing about anybody. Well above what the hub takes.",
    )
    call_back_per_mille: int = _setting(
        "HUB_CALL_BACK_PER_MILLE",
        _number(0, 1000),
        "100",
        "Of a thousand consents captured in the field, how many are drawn by lot: the person is called back before the "
        "reviewer may verify (docs/CAPTURE.md).",
    )
    pool_size: int = _setting(
        "HUB_POOL_SIZE", _number(1, 90), "8", "Most database connections that the API holds open for queries."
    )
    key_algorithm: Algorithm | None = _setting(  # noqa: RUF009 - makes a field, as dataclasses.field does
        "HUB_KEY_ALGORITHM",
        lambda text: Algorithm(_one_of(*Algorithm)(text)),
        None,
        "Cipher suite of the next key version, `AES-256-GCM` or `SM4-GCM` (docs/KEYS.md). Unset: that of the last one.",
    )
    log_level: str = _setting(
        "HUB_LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "info", "The least grave events that are logged."
    )
    log_format: str = _setting(
        "HUB_LOG_FORMAT",
        _one_of("auto", "json", "text"),
        "auto",
        "`json`: one object per line; `text`: for reading; `auto`: text on a terminal, else json.",
    )

    @property
    def is_production(self) -> bool:
        """Whether real people's data are at stake."""
        return self.environment == "production"

    def store_options(self) -> StoreOptions:
        """What the store needs of the settings."""
        return StoreOptions(self.home, self.database_url)

    @property
    def keys_folder(self) -> Path:
        """Folder of all secrets, inside :attr:`home`."""
        return self.home / "keys"


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the environment (default: the process's own) and the settings file.

    Raises :class:`SettingsError` naming the variable, for a value that cannot be read, an unknown ``HUB_`` variable, or
    a file that cannot be read. Empty values count as not set.
    """
    given = dict(os.environ if environment is None else environment)
    _refuse_unknown(given, "the environment")
    home_field = next(field for field in dataclasses.fields(Settings) if field.name == "home")
    home: Path = _value(home_field, given)
    values = _read_file(home / FILE_NAME) | {name: text for name, text in given.items() if text}
    return Settings(**{field.name: _value(field, values) for field in dataclasses.fields(Settings)})


def _value(field: dataclasses.Field[Any], values: Mapping[str, str]) -> Any:
    variable, default = field.metadata["variable"], field.metadata["default"]
    text = values.get(variable) or default
    if text is None:
        return None
    try:
        return field.metadata["read"](text)
    except ValueError as error:
        raise SettingsError(
            f"the setting {variable} cannot be used: {error}.", remedy=f"Correct or unset {variable}."
        ) from None


def _variables() -> list[str]:
    return [field.metadata["variable"] for field in dataclasses.fields(Settings)]


def _refuse_unknown(values: Mapping[str, str], where: str) -> None:
    known = _variables()
    for name in sorted(values):
        if not name.startswith("HUB_") or name.startswith(_OTHERS) or name in known:
            continue
        near = difflib.get_close_matches(name, known, 1)
        remedy = f"Did you mean {near[0]}?" if near else "Unset it; docs/SETTINGS.md lists all settings."
        raise SettingsError(f"{where} holds the unknown setting {name}.", remedy=remedy)


def _read_file(path: Path) -> dict[str, str]:
    """The lines ``NAME=value`` of the settings file; empty if there is none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"the settings file {path} cannot be read ({type(error).__name__}).",
            remedy="Make it a UTF-8 text that the hub's user may read.",
        ) from None
    values: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, text = line.partition("=")
        name = name.strip()
        if not equals or not name.startswith("HUB_") or name in values or name == "HUB_HOME":
            raise SettingsError(
                f"line {number} of the settings file {path} is not a setting.",
                remedy="Write NAME=value with each name once; HUB_HOME itself can only be set in the environment.",
            )
        values[name] = text.strip()
    _refuse_unknown(values, f"the settings file {path}")
    return values


def as_markdown() -> str:
    """The table of all settings, as docs/SETTINGS.md holds it."""
    lines = [
        "# Settings",
        "",
        "Written by `make generated` from `hub/settings.py`; change it there. Each is an environment variable, or a",
        f"line `NAME=value` in the file `{FILE_NAME}` inside `HUB_HOME`; the environment wins. Empty means not set.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for field in dataclasses.fields(Settings):
        facts = field.metadata
        default = facts["shown"] or (f"`{facts['default']}`" if facts["default"] is not None else "not set")
        lines.append(f"| `{facts['variable']}` | {default} | {facts['meaning']} |")
    return "\n".join(lines) + "\n"
