"""The error tree of the hub.

Every error that a person may see is a :class:`HubError`: a stable code for programs, one sentence that says what was
wrong and where, and one that says what to do. Neither may ever contain a value of personal data.

    HubError
    ├── SettingsError      the operator's settings or files are wrong; nothing was done
    ├── StoreError         the database cannot be reached, is of the wrong version, or refuses
    ├── SourceError        an agency cannot be read further (temporary: RetryableError, already given up)
    │   └── RetryableError a try that may succeed later; transports retry it with backoff
    ├── InputError         a caller's input is refused
    ├── RefusedError       the caller may not do this, or the thing does not exist for him
    └── AuditError         the audit log cannot record or has been altered; nothing may leave
"""


class HubError(Exception):
    """A failure that is told to a person.

    ``code`` is stable and upper case, ``message`` one sentence without personal data, ``remedy`` what to do (may be
    empty).
    """

    code = "HUB_ERROR"

    def __init__(self, message: str, *, remedy: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class SettingsError(HubError):
    """A setting, a key file or the command line is wrong."""

    code = "SETTINGS"


class StoreError(HubError):
    """The database cannot be used."""

    code = "STORE"


class SourceError(HubError):
    """An agency cannot be read further in this run."""

    code = "SOURCE"


class RetryableError(SourceError):
    """A call to an agency failed in a way that may pass; ``retry_after`` is in seconds when the agency named it."""

    code = "SOURCE_BUSY"

    def __init__(self, message: str, *, retry_after: float | None = None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after


class InputError(HubError):
    """A caller's input is refused."""

    code = "BAD_USER_INPUT"


class RefusedError(HubError):
    """The caller may not do this, or the thing does not exist for this caller."""

    code = "REFUSED"


class AuditError(HubError):
    """The audit log cannot record, or does not verify. Nothing may leave the hub."""

    code = "AUDIT"
