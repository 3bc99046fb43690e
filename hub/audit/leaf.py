"""The entry: the bytes that are hashed into the log. Small, without personal data, and impossible to guess. No I/O.

An entry is canonical JSON (hub/core/canonical.py) with exactly these keys, final since version 1:

=======  ============================================================================================================
``dec``  how the request ended: ``allow``, ``deny``, ``mask``
``ev``   id of the event
``kind`` coarse class (:class:`~hub.audit.events.Kind`)
``org``  the organisation acting; empty for a person acting for himself
``pol``  version of the rules that decided
``purp`` purpose, or null
``rc``   commitment to everything else about the event, 64 hexadecimal digits (hub/audit/commitments.py)
``seq``  place in the log, from 0
``sn``   commitment to the links of the chains of the persons concerned, 64 hexadecimal digits
``t``    milliseconds since 1970 UTC when the sequencer placed it; never less than that of the entry before
``v``    version of this format: 1
``what`` the event, ``object:actor:verb``
=======  ============================================================================================================

The hash of the operation is under ``rc``, not in clear: with a person's ID number among its variables it could be
guessed. The stored bytes are the preimage; nothing is ever encoded again to verify it.
"""

import json
import re
from dataclasses import dataclass
from uuid import UUID

from hub.audit.events import NAME, Decision, Kind
from hub.core.canonical import INTEGER_MAX

VERSION = 1
"""Version of the entry format written here."""

_KEYS = ("dec", "ev", "kind", "org", "pol", "purp", "rc", "seq", "sn", "t", "v", "what")
_HEX32 = re.compile(r"[0-9a-f]{64}\Z")
_ORGANISATION = re.compile(r"[A-Za-z0-9._:-]{0,64}\Z")
_POLICY = re.compile(r"[A-Za-z0-9._:+-]{1,80}\Z")
_PURPOSE = re.compile(r"[A-Z_]{1,40}\Z")
_KINDS = frozenset(Kind)
_DECISIONS = frozenset(Decision)


class LeafError(ValueError):
    """The bytes are not an entry of this format; the text says which part is wrong."""


class UnknownVersionError(LeafError):
    """The entry has a version that this program does not know."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One entry, read."""

    seq: int
    t: int
    ev: UUID
    kind: str
    what: str
    organisation: str
    purpose: str | None
    decision: str
    policy: str
    rc: bytes
    sn: bytes

    def to_bytes(self) -> bytes:
        """The canonical bytes. All texts are ASCII of narrow alphabets, so they stand as they are between quotes."""
        purpose = "null" if self.purpose is None else f'"{self.purpose}"'
        return (
            f'{{"dec":"{self.decision}","ev":"{self.ev}","kind":"{self.kind}","org":"{self.organisation}",'
            f'"pol":"{self.policy}","purp":{purpose},"rc":"{self.rc.hex()}","seq":{self.seq},'
            f'"sn":"{self.sn.hex()}","t":{self.t},"v":{VERSION},"what":"{self.what}"}}'
        ).encode("ascii")

    @classmethod
    def parse(cls, entry: bytes) -> "Leaf":
        """Read an entry and check that its bytes are the only spelling of its content.

        Raises :class:`UnknownVersionError` or :class:`LeafError`.
        """
        try:
            value = json.loads(entry)
        except (ValueError, RecursionError):
            raise LeafError("the entry is not JSON") from None
        if not isinstance(value, dict) or type(value.get("v")) is not int:
            raise LeafError("the entry has no version")
        if value["v"] != VERSION:
            raise UnknownVersionError("the entry has a version that this program does not know")
        if tuple(value) != _KEYS:
            raise LeafError("the entry does not have exactly the keys of its version")
        _check_values(value)
        leaf = cls(
            value["seq"],
            value["t"],
            UUID(value["ev"]),
            value["kind"],
            value["what"],
            value["org"],
            value["purp"],
            value["dec"],
            value["pol"],
            bytes.fromhex(value["rc"]),
            bytes.fromhex(value["sn"]),
        )
        if leaf.to_bytes() != entry:
            raise LeafError("the entry is not canonical")
        return leaf


def _check_values(value: dict[str, object]) -> None:
    for key in ("seq", "t"):
        number = value[key]
        if type(number) is not int or not 0 <= number < INTEGER_MAX:
            raise LeafError(f"`{key}` of the entry is not a count")
    for key, pattern in (
        ("org", _ORGANISATION),
        ("pol", _POLICY),
        ("what", NAME),
        ("rc", _HEX32),
        ("sn", _HEX32),
    ):
        text = value[key]
        if not isinstance(text, str) or not pattern.match(text):
            raise LeafError(f"`{key}` of the entry is not written as it must be")
    purpose = value["purp"]
    if purpose is not None and not (isinstance(purpose, str) and _PURPOSE.match(purpose)):
        raise LeafError("`purp` of the entry is not written as it must be")
    if str(value["kind"]) not in _KINDS or str(value["dec"]) not in _DECISIONS:
        raise LeafError("`kind` or `dec` of the entry is not on the list")
    try:
        UUID(str(value["ev"]))
    except ValueError:
        raise LeafError("`ev` of the entry is not an id") from None
