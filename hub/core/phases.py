"""The named phases of a pull: one closed list, and one way to say in code that a phase is being passed.

``with passing(Phase.MERGE):`` names what happens inside. Whoever started the pull may watch (:func:`watched_by`): the
pull itself measures how often, how long and with what success each phase was passed; a test lets the process fail at
one of them. Nothing in the hub reads a variable or a file for that: without a watcher a phase is only a name. The
watcher goes with the task (:mod:`contextvars`), so connectors and records need not hand it on.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Protocol


class Phase(StrEnum):
    """What a pull is doing; the value is what reports and metrics call it."""

    OPEN = "open"
    """The source's watermark is read and its pull noted."""
    TAX_TOKEN = "tax.token"  # noqa: S105 - a name
    """One request for an access token of the tax bureau."""
    TAX_PAGE = "tax.page"
    """One request for a page of tax records."""
    SOCIAL_QUERY = "social.query"
    """One statement at the social-insurance view, the connection included if it has to be opened."""
    CLINIC_LISTING = "clinic.listing"
    """One listing of a folder in the clinics' outbox."""
    CLINIC_FILE = "clinic.file"
    """One file fetched from the clinics' outbox."""
    CIVIL_CALL = "civil.call"
    """One SOAP call of civil affairs."""
    BANK_LISTING = "bank.listing"
    """One request for the list of a bank's files."""
    BANK_FILE = "bank.file"
    """One of a bank's files fetched."""
    BANK_SIGNATURE = "bank.signature"
    """One of a bank's signature files fetched."""
    BANK_KEYS = "bank.keys"
    """One request for a bank's key set."""
    VERIFY = "verify"
    """A file is checked as a whole: signature, hash, count, total."""
    CHECK = "check"
    """Rows are checked against the agency's document."""
    STAGE = "stage"
    """The keys of a step are put beside what the ledger holds."""
    JUDGE = "judge"
    """Each row of a step gets its outcome."""
    MERGE = "merge"
    """The rows of a step are written, with counts, files and watermark."""
    COMMIT = "commit"
    """The step becomes durable."""
    CLOSE = "close"
    """How the reading of the source ended is noted."""
    REFERENCES = "references"
    """Rows that refer to nothing are moved out, those that refer again are let back in."""
    ROSTER = "roster"
    """Households, members and people are derived from the roster."""
    LINKS = "links"
    """Facts are linked to people."""
    CLEAR = "clear"
    """Quarantine entries that a later row has overtaken are closed."""
    SETTLE_COMMIT = "settle.commit"
    """What the end of the run settled becomes durable."""
    FOLD = "fold"
    """A batch of households is folded into sections."""
    FOLD_COMMIT = "fold.commit"
    """The sections of a batch become durable."""
    REPORT = "report"
    """The run is counted and closed."""


class Watcher(Protocol):
    """Is told of each phase; an exception that it raises happens in the place of the phase."""

    def begun(self, phase: Phase) -> None:
        """A phase begins."""

    def ended(self, phase: Phase, seconds: float, failed: bool) -> None:
        """A phase is over, by an exception if ``failed``."""


_watcher: ContextVar[Watcher | None] = ContextVar("watcher of the phases of a pull", default=None)


@contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Let ``watcher`` be told of the phases passed in this task, and in tasks and threads that it starts."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


class passing:  # noqa: N801 - reads as a statement: with passing(Phase.MERGE)
    """Names what happens inside the block."""

    __slots__ = ("_began", "_phase", "_watcher")

    def __init__(self, phase: Phase) -> None:
        self._phase = phase
        self._watcher: Watcher | None = None
        self._began = 0.0

    def __enter__(self) -> None:
        self._watcher = _watcher.get()
        if self._watcher is not None:
            self._began = time.monotonic()
            self._watcher.begun(self._phase)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._watcher is not None:
            self._watcher.ended(self._phase, time.monotonic() - self._began, failed=kind is not None)


@dataclass(slots=True)
class Passages:
    """How often a phase was passed, how often it failed, and how long that took (seconds, in all and at most)."""

    times: int = 0
    failed: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class PhaseTimes:
    """Measures; tells a further watcher, if there is one, of everything it is told."""

    def __init__(self, further: Watcher | None = None) -> None:
        self.passages: dict[Phase, Passages] = {}
        self._further = further

    def begun(self, phase: Phase) -> None:
        if self._further is not None:
            self._further.begun(phase)

    def ended(self, phase: Phase, seconds: float, failed: bool) -> None:
        found = self.passages.setdefault(phase, Passages())
        found.times += 1
        found.failed += failed
        found.seconds += seconds
        found.longest = max(found.longest, seconds)
        if self._further is not None:
            self._further.ended(phase, seconds, failed)
