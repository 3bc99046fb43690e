"""The operator's ``sources.toml``: which agencies are read, where, with which keys (docs/CONTRACTS.md 2.1).

Everything that can be judged without the agency is judged here, before anything is pulled: unknown and missing keys,
paths, plain connections. Secrets are never in the file; they are read from the files it names when a connector is made.
"""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from hub.core.errors import SettingsError

Text = Annotated[str, msgspec.Meta(min_length=1)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]

_SOURCE_NAME = re.compile(r"[A-Za-z0-9_]+")
_CODEC_PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<key>[^`]*)`)?", re.DOTALL)


class _Table(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What every source table has. ``name`` is the table's name, put there by the reader."""

    name: str
    agreement_no: Text
    enabled: bool = True
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 30.0
    max_retries: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 8
    allow_plain_loopback: bool = False

    urls: ClassVar[tuple[str, ...]] = ()
    """Keys that hold addresses of web services."""

    def plain_allowed(self, host: str) -> bool:
        """Whether this source may talk to ``host`` without encryption: asked for, and a literal loopback address."""
        return self.allow_plain_loopback and is_loopback(host)


class TaxSource(_Table, frozen=True, tag="tax-rest"):
    """Tax records over REST."""

    base_url: Text
    token_url: Text
    client_id_file: Path
    client_secret_file: Path
    ca_file: Path | None = None

    urls = ("base_url", "token_url")


class SocialSource(_Table, frozen=True, tag="social-view"):
    """Social insurance over a database view. Without ``ca_file`` the connection is plain (loopback only)."""

    host: Text
    port: Port
    database: Text
    user: Text
    password_file: Path
    ca_file: Path | None = None


class ClinicSource(_Table, frozen=True, tag="clinic-sftp"):
    """Arrears lists of clinics over SFTP."""

    host: Text
    port: Port
    username: Text
    private_key_file: Path
    known_hosts_file: Path
    root: Text


class CivilSource(_Table, frozen=True, tag="civil-soap"):
    """Household roster, relief and life events over SOAP."""

    endpoint_url: Text
    username_file: Path
    password_file: Path
    ca_file: Path | None = None

    urls = ("endpoint_url",)


class BankSource(_Table, frozen=True, tag="bank-files"):
    """Signed daily files of one bank."""

    base_url: Text
    jwks_url: Text
    bank_code: Annotated[str, msgspec.Meta(pattern="^[0-9]{12}$")]
    client_cert_file: Path
    client_key_file: Path
    ca_file: Path | None = None

    urls = ("base_url", "jwks_url")


Source = TaxSource | SocialSource | ClinicSource | CivilSource | BankSource
"""One table of ``sources.toml``."""


def kind_of(source: Source) -> str:
    """The ``kind`` of a source as the file writes it."""
    return str(type(source).__struct_config__.tag)


def load_sources(path: Path) -> tuple[Source, ...]:
    """All sources of a settings file, in its order, disabled ones too, with paths made absolute.

    Raises :class:`~hub.core.errors.SettingsError` with a sentence that names the file and the key.
    """
    document = _read_document(path)
    tables = document.pop("sources", None)
    version = document.pop("version", None)
    if document:
        raise _bad(path, "", f"key `{sorted(document)[0]}` is not known at the top of the file")
    if version != 1 or isinstance(version, bool):
        raise _bad(path, "version", "must be there and be 1")
    if not isinstance(tables, dict) or not tables:
        raise _bad(path, "sources", "must be there with at least one table `[sources.NAME]`")
    return tuple(_source(path, name, table) for name, table in tables.items())


def select_sources(sources: tuple[Source, ...], names: list[str]) -> tuple[Source, ...]:
    """The named sources, each once, in the file's order; without names all enabled ones."""
    known = {source.name for source in sources}
    for name in names:
        if name not in known:
            raise SettingsError(
                f"There is no source named `{name}` in the sources file.",
                remedy=f"It has: {', '.join(sorted(known))}.",
            )
    return tuple(source for source in sources if (source.name in names if names else source.enabled))


def read_secret(path: Path, source: Source, key: str) -> str:
    """The value in a key or secret file: one line of UTF-8 text with at most one newline behind it."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            f"The file that `{key}` of source `{source.name}` names cannot be read ({path}): {reason}.",
            remedy="Put the file there, readable for the account of the hub.",
        ) from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value or "\n" in value or "\r" in value or "\0" in value:
        raise SettingsError(
            f"The file that `{key}` of source `{source.name}` names must hold one line of text ({path}).",
            remedy="Write the value alone into the file, with at most one newline behind it.",
        )
    return value


def is_loopback(host: str) -> bool:
    """Whether a host is a literal loopback address: 127.0.0.0/8 or ::1. A name such as ``localhost`` is not."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return (address.version == 4 and address.is_loopback) or address == ipaddress.IPv6Address("::1")


def _read_document(path: Path) -> dict[str, Any]:
    remedy = "See docs/CONTRACTS.md 2.1 for an example."
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as error:
        message = f"The sources file cannot be read ({path}): {error.strerror}."
    except UnicodeDecodeError:
        message = f"The sources file is not UTF-8 text ({path})."
    except tomllib.TOMLDecodeError as error:
        message = f"The sources file is not valid TOML ({path}): {error}."
    raise SettingsError(message, remedy=remedy)


def _source(path: Path, name: str, table: Any) -> Source:
    place = f"[sources.{name}]"
    if not _SOURCE_NAME.fullmatch(name):
        raise _bad(path, place, "may have only letters, digits and `_` in its name")
    if not isinstance(table, dict):
        raise _bad(path, place, "must be a table")
    if "name" in table:
        raise _bad(path, f"{place} name", "is not a known key")
    try:
        source: Source = msgspec.convert(
            {**table, "name": name}, type=Source, dec_hook=_path_in(path.absolute().parent)
        )
    except msgspec.ValidationError as error:
        parts = _CODEC_PLACE.fullmatch(str(error))
        assert parts is not None, "the pattern takes any text"
        key = f"{place} {parts['key']}" if parts["key"] else place
        raise _bad(path, key, f"is wrong: {parts['what']}") from None
    _check_connection(path, place, source)
    return source


def _path_in(folder: Path) -> Any:
    def decode(kind: type, value: Any) -> Path:
        if kind is not Path or not isinstance(value, str) or not value or "\0" in value:
            raise ValueError("Expected a path")
        return folder / value

    return decode


def _check_connection(path: Path, place: str, source: Source) -> None:
    """Encrypted, or plain to a literal loopback address because the file says so. Never anything else."""
    plain = []
    for key in source.urls:
        address = getattr(source, key)
        host, scheme = _address(path, f"{place} {key}", address)
        plain.append(scheme == "http")
        if scheme == "http" and not source.plain_allowed(host):
            raise _bad(
                path,
                f"{place} {key}",
                "is a plain connection, which is allowed only with `allow_plain_loopback = true` and a literal "
                "loopback address (127.0.0.0/8 or ::1)",
            )
    if isinstance(source, SocialSource):
        plain.append(source.ca_file is None and source.plain_allowed(source.host))
    if plain and not all(plain) and getattr(source, "ca_file", None) is None:
        raise _bad(
            path,
            f"{place} ca_file",
            "is missing; it may be absent only if every address of the source is plain, with "
            "`allow_plain_loopback = true` and a literal loopback address",
        )


def _address(path: Path, key: str, address: str) -> tuple[str, str]:
    """Host and scheme of a web address that has nothing but scheme, host, port and path."""
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    extra = parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in ("http", "https") or not host or extra or not address.isascii() or " " in address:
        raise _bad(path, key, "must be an address of the form `https://host[:port]/path`")
    return host, parts.scheme


def _bad(path: Path, key: str, what: str) -> SettingsError:
    return SettingsError(
        f"In {path}: {key} {what}.".replace(":  ", ": "), remedy="See docs/CONTRACTS.md 2.1 for every key."
    )
