"""How an agency can misbehave on request, for tests and for partners who integrate.

Counts (``busy``, ``rubbish``, ...) speak of the next so many calls and run down; switches stay until they are set back.
Everything is set through ``Agency.misbehave(name=value)`` or the control endpoint (:mod:`hub.sandbox.control`).
"""

from dataclasses import dataclass


@dataclass(slots=True)
class Misbehaviour:
    """What every agency can do.

    ``down``: connections are reset at once. ``slow_seconds``: every message of a client is held back so long.
    ``cut_after_bytes``: a connection is cut when so many bytes have been sent to the client; ``cut_times`` connections
    suffer it, then all is well again. ``wrong_identity``: the certificate or host key is somebody else's (counts for
    new connections).
    """

    down: bool = False
    slow_seconds: float = 0.0
    cut_after_bytes: int | None = None
    cut_times: int = 1
    wrong_identity: bool = False


@dataclass(slots=True)
class HttpMisbehaviour(Misbehaviour):
    """What every agency with an HTTP service can do.

    ``rubbish``: the next so many answers are HTTP 200 with a body that means nothing. ``cut_after_calls``: after so
    many further calls all connections are cut, once.
    """

    rubbish: int = 0
    cut_after_calls: int | None = None


@dataclass(slots=True)
class TaxMisbehaviour(HttpMisbehaviour):
    """The tax service.

    ``unavailable``: so many calls get HTTP 503 with an HTML body. ``busy``: so many get code E9000. Both also happen by
    themselves every ``unavailable_every`` and ``busy_every`` calls (0: never). ``revoke_token``: the tokens given out
    are revoked, once. ``expire_cursors``: the cursors are forgotten, once. ``refuse_client``: the credentials are not
    accepted any more. ``refuse_token``: no token is good, however fresh. ``limit_rate``: whether the documented rate
    limit is kept.
    """

    unavailable: int = 0
    busy: int = 0
    unavailable_every: int = 67
    busy_every: int = 45
    revoke_token: bool = False
    expire_cursors: bool = False
    refuse_client: bool = False
    refuse_token: bool = False
    limit_rate: bool = True


@dataclass(slots=True)
class SocialMisbehaviour(Misbehaviour):
    """The front-end database. ``refuse_login``: the account's password has been changed."""

    refuse_login: bool = False


@dataclass(slots=True)
class ClinicMisbehaviour(Misbehaviour):
    """The SFTP server.

    ``refuse_key``: the client's key is not accepted any more. ``truncated``: only half of the next so many CSV files
    can be read. ``rubbish``: the next so many hold nothing that makes sense.
    """

    refuse_key: bool = False
    truncated: int = 0
    rubbish: int = 0


@dataclass(slots=True)
class CivilMisbehaviour(HttpMisbehaviour):
    """The SOAP service.

    ``busy``: so many calls get fault CA-9001. ``expire_snapshots``: all snapshots are forgotten, once.
    ``refuse_password``: fault CA-1001 whatever is sent. ``wrong_total``: added to every ``total``. ``limit_rate`` as
    for the tax service.
    """

    busy: int = 0
    expire_snapshots: bool = False
    refuse_password: bool = False
    wrong_total: int = 0
    limit_rate: bool = True


@dataclass(slots=True)
class BankMisbehaviour(HttpMisbehaviour):
    """The export service of a bank.

    ``bad_signature``, ``missing_signature``, ``truncated``, ``wrong_count``: all files suffer it while it is on (a
    truncated file is signed as it should have been). ``not_replicated``: so many file requests get 404.
    ``rotate_key``: from now on a new key signs the files of the latest day, once. ``limit_rate`` as for tax.
    """

    bad_signature: bool = False
    missing_signature: bool = False
    truncated: bool = False
    wrong_count: bool = False
    not_replicated: int = 0
    rotate_key: bool = False
    limit_rate: bool = True
