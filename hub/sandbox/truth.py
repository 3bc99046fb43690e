"""What the sandbox knows to be so: the fate that each row of a feed must have in the hub.

The generators write down every outcome when they make a row, so that a hub's report can be compared with it. One
:class:`Truth` speaks about one pull: the first, or the next one after :meth:`Prefecture.advance`.
"""

from collections import Counter
from dataclasses import dataclass, field

from hub.core.names import ConflictType, QuarantineReason, RefusalReason


@dataclass(frozen=True, slots=True)
class ExpectedQuarantine:
    """A row that must be held back: the source's name, the row's key and version, the reason, and what was done."""

    source: str
    source_key: str
    version: str
    reason: QuarantineReason
    note: str = ""


@dataclass(frozen=True, slots=True)
class ExpectedRefusal:
    """A file that must be refused as a whole."""

    source: str
    name: str
    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class ExpectedConflict:
    """A disagreement that must be shown; ``source`` is ``None`` for overlapping memberships."""

    type: ConflictType
    member_no: str
    source: str | None


@dataclass(slots=True)
class SourceTruth:
    """The expected numbers of one source in one pull (names as in the pull report)."""

    accepted: int = 0
    superseded: int = 0
    withdrawn: int = 0
    dropped_fields: Counter[str] = field(default_factory=Counter)
    repaired_fields: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Truth:
    """Everything that must come of one pull of all sources."""

    sources: dict[str, SourceTruth] = field(default_factory=dict)
    quarantined: list[ExpectedQuarantine] = field(default_factory=list)
    refused: list[ExpectedRefusal] = field(default_factory=list)
    conflicts: list[ExpectedConflict] = field(default_factory=list)

    def of(self, source: str) -> SourceTruth:
        """The numbers of one source."""
        return self.sources.setdefault(source, SourceTruth())

    def hold(self, source: str, key: str, version: str, reason: QuarantineReason, note: str = "") -> None:
        """Write down that a row must be quarantined."""
        self.quarantined.append(ExpectedQuarantine(source, key, version, reason, note))

    def refuse(self, source: str, name: str, reason: RefusalReason) -> None:
        """Write down that a file must be refused."""
        self.refused.append(ExpectedRefusal(source, name, reason))

    def quarantine_counts(self, source: str) -> dict[str, int]:
        """Number of quarantined rows of a source by reason."""
        return dict(sorted(Counter(q.reason.name for q in self.quarantined if q.source == source).items()))

    def refused_files(self, source: str) -> dict[str, str]:
        """Reason by name of each refused file of a source."""
        return {r.name: r.reason.value for r in self.refused if r.source == source}
