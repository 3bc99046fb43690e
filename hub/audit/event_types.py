"""What an audit event is: its name, its coarse class, and the facts that an entry must and may carry."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The coarse class of an entry; it stands in clear in the log."""

    QUERY = "query"
    WRITE = "write"
    CONSENT = "consent"
    CONNECTOR = "connector"
    ADMIN = "admin"
    ERASURE = "erasure"
    SHARD = "shard"


class Decision(StrEnum):
    """How the request recorded here ended."""

    ALLOW = "allow"
    DENY = "deny"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class EventType:
    """One line of the list: what happened, and which facts an entry must and may carry."""

    name: str
    kind: Kind
    meaning: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    person: tuple[str, ...] = ()
