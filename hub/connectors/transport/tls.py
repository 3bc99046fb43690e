"""TLS towards agencies: the source's own CA is the only trust anchor, the host name is always checked."""

import ssl
from pathlib import Path

from hub.core.errors import SettingsError, SourceError


def trust_only(ca_file: Path, *, source: str, client_cert: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client context that trusts nothing but the certificates in ``ca_file`` (no system store), TLS 1.2 or later.

    ``client_cert`` is the pair of certificate and key file by which the hub shows who it is. Raises
    :class:`~hub.core.errors.SettingsError` if a file cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks chain and host name, loads no system store
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _unusable("ca_file", ca_file, source, error) from None
    if client_cert is not None:
        certificate, key = client_cert
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            named = "client_cert_file` or `client_key_file"
            raise _unusable(named, certificate, source, error) from None
    return context


def certificate_failure(error: BaseException, *, source: str, host: str) -> SourceError | None:
    """The permanent failure behind an error of any library, if TLS itself refused; ``None`` otherwise.

    A peer that merely hung up in the middle of TLS is not refused: that is a broken connection.
    """
    cause: BaseException | None = error
    for _ in range(10):  # libraries wrap a few levels deep; a limit guards against a cycle
        if isinstance(cause, ssl.SSLCertVerificationError):
            return SourceError(
                f"The certificate of {host} is not trusted for source `{source}`: {cause.verify_message}.",
                remedy="Check `ca_file` of this source, and with the agency whether its certificate was changed.",
                code="SOURCE_CERTIFICATE",
            )
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            reason = (cause.reason or "TLS failed").replace("_", " ").lower()
            return SourceError(
                f"{host} refused an encrypted connection for source `{source}`: {reason}.",
                remedy="Check the address, and whether the agency knows the hub's client certificate.",
                code="SOURCE_CERTIFICATE",
            )
        if cause is None:
            break
        cause = cause.__cause__ or cause.__context__
    return None


def _no_password() -> str:
    """A key with a password must fail, not ask at the terminal."""
    return ""


def _unusable(key: str, path: Path, source: str, error: OSError | ssl.SSLError) -> SettingsError:
    reason = "it is not a usable PEM file" if isinstance(error, ssl.SSLError) else error.strerror
    return SettingsError(
        f"`{key}` of source `{source}` cannot be used ({path}): {reason}.",
        remedy="Put a PEM file there that the account of the hub may read.",
    )
