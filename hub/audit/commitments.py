"""Salted commitments: what an entry binds without telling it. No I/O.

An entry concerns a *shared* group of fields (group 0) and one group per person concerned. Each group has a secret salt
of 32 bytes from which the salt of every field is derived, so one field can be opened without the others, one group
without the others, and nothing can be guessed from the hashes that are public.

    salt(field)  = HMAC-SHA-256(group salt, "salt" || index as 4 bytes || name)[:16]
    c(field)     = SHA-256("hub/fc/v1" 00 || salt(field) || length of name as 2 bytes || name || canonical value)
    group root   = RFC 6962 root over c(field) as leaf hashes; field 0 is ``count``, the rest follow in order of name
    rc           = RFC 6962 root over the group roots as leaf hashes
    step(person) = SHA-256("hub/sc/v1" 00 || HMAC-SHA-256(his group's salt, "step")[:16] || person id || chain as 1 byte
                           || n as 8 bytes || previous step)
    blind        = HMAC-SHA-256(salt of group 0, "blind")
    sn           = RFC 6962 root over blind and the steps as leaf hashes

All numbers are big endian. ``rc`` and ``sn`` look random to who has no salt, whatever the number of persons.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from hub.audit.merkle import inclusion_proof, root_of

SALT_BYTES = 32
"""Length of a group's secret salt."""

FIRST_STEP = bytes(32)
"""What the first link of a person's chain names as its predecessor."""

OPEN_CHAIN = 0
"""The chain a person may always see; 1 is kept for accesses that the law hides for a time."""

_INNER, _OUTER = bytes(byte ^ 0x36 for byte in range(256)), bytes(byte ^ 0x5C for byte in range(256))
_sha256 = hashlib.sha256
_FIELD = b"hub/fc/v1\x00"
_STEP = b"hub/sc/v1\x00"


@dataclass(frozen=True, slots=True)
class Opening:
    """One field of one group, told: everything a verifier needs beside the entry."""

    group: int
    index: int
    count: int
    name: str
    salt: bytes
    value: bytes
    """Canonical JSON."""
    path: tuple[bytes, ...]
    roots: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Link:
    """One link of one person's chain, told."""

    subject: UUID
    chain: int
    n: int
    previous: bytes
    salt: bytes

    def step(self) -> bytes:
        """The commitment of this link."""
        place = bytes([self.chain]) + self.n.to_bytes(8, "big")
        return _sha256(b"%b%b%b%b%b" % (_STEP, self.salt, self.subject.bytes, place, self.previous)).digest()


def field_salt(group_salt: bytes, index: int, name: str) -> bytes:
    """The salt of one field of a group."""
    return hmac.digest(group_salt, b"salt" + index.to_bytes(4, "big") + name.encode(), "sha256")[:16]


def field_commitment(salt: bytes, name: str, value: bytes) -> bytes:
    """The commitment of one field; ``value`` is canonical JSON."""
    encoded = name.encode()
    return hashlib.sha256(_FIELD + salt + len(encoded).to_bytes(2, "big") + encoded + value).digest()


def group_commitments(group_salt: bytes, fields: Mapping[str, bytes]) -> list[bytes]:
    """The commitments of a group's fields in order, the count first. ``fields`` maps names to canonical JSON."""
    # This runs for every field of every entry: the HMAC of field_salt() is spelled out, its two keyed beginnings are
    # made once for the group, which takes less than half the time.
    padded = group_salt.ljust(64, b"\0")
    inner, outer = _sha256(padded.translate(_INNER)), _sha256(padded.translate(_OUTER))
    result = []
    for index, (name, value) in enumerate([("count", b"%d" % len(fields)), *sorted(fields.items())]):
        encoded = name.encode()
        first, second = inner.copy(), outer.copy()
        first.update(b"salt%b%b" % (index.to_bytes(4, "big"), encoded))
        second.update(first.digest())
        salt = second.digest()[:16]
        result.append(_sha256(b"%b%b%b%b%b" % (_FIELD, salt, len(encoded).to_bytes(2, "big"), encoded, value)).digest())
    return result


def group_root(group_salt: bytes, fields: Mapping[str, bytes]) -> bytes:
    """The root of one group."""
    return tree_root(group_commitments(group_salt, fields))


def tree_root(hashes: Sequence[bytes]) -> bytes:
    """The RFC 6962 root over a short list of leaf hashes: pairs level by level, an odd last one moves up as it is."""
    level = list(hashes)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [_sha256(b"\x01%b%b" % pair).digest() for pair in pairs]
        level = above + level[-1:] if len(level) & 1 else above
    return level[0]


def link_salt(group_salt: bytes) -> bytes:
    """The salt of a person's link, out of the salt of his group."""
    return hmac.digest(group_salt, b"step", "sha256")[:16]


def blind_of(shared_salt: bytes) -> bytes:
    """The hash that stands before the steps of an entry, so that their number cannot be told from outside."""
    return hmac.digest(shared_salt, b"blind", "sha256")


def open_field(
    group_salt: bytes, fields: Mapping[str, bytes], group: int, name: str, roots: tuple[bytes, ...]
) -> Opening:
    """Tell one field of a group. Raises :class:`KeyError` if the group has no such field."""
    value = fields[name]
    index = 1 + sorted(fields).index(name)
    commitments = group_commitments(group_salt, fields)

    def node(height: int, at: int) -> bytes:
        return root_of(commitments[at << height : (at + 1) << height])

    path = tuple(inclusion_proof(index, len(commitments), node))
    return Opening(group, index, len(fields), name, field_salt(group_salt, index, name), value, path, roots)
