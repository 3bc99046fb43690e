"""Salted commitments: what an entry binds without telling it. No I/O.

An entry concerns a *shared* group of fields (group 0) and one group per person concerned. Each group has a secret salt
of 32 bytes from which the salt of every field is derived, so one field can be opened without the others, one group
without the others, and nothing can be guessed from the hashes that are public.

    salt(field)  = HMAC-SHA-256(group salt, "salt" || index as 4 bytes || name)[:16]
    c(field)     = SHA-256("hub/fc/v1" 00 || salt(field) || length of name as 2 bytes || name || canonical value)
    group root   = RFC 6962 root over c(field) as leaf hashes; field 0 is ``count``, the rest follow in order of name
    rc           = RFC 6962 root over the group roots as leaf hashes
    step(person) = SHA-256("hub/sc/v1" 00 || salt || person id || chain as 1 byte || n as 8 bytes || previous step)
    blind        = HMAC-SHA-256(salt of group 0, "blind")
    sn           = RFC 6962 root over blind and the steps as leaf hashes

All numbers are big endian. ``rc`` and ``sn`` look random to who has no salt, whatever the number of persons.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from hub.audit.merkle import inclusion_proof, node_hash, root_of

SALT_BYTES = 32
"""Length of a group's secret salt."""

FIRST_STEP = bytes(32)
"""What the first link of a person's chain names as its predecessor."""

OPEN_CHAIN = 0
"""The chain a person may always see; 1 is kept for accesses that the law hides for a time."""

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
        return hashlib.sha256(
            b"".join(
                (
                    _STEP,
                    self.salt,
                    self.subject.bytes,
                    bytes([self.chain]),
                    self.n.to_bytes(8, "big"),
                    self.previous,
                )
            )
        ).digest()


def field_salt(group_salt: bytes, index: int, name: str) -> bytes:
    """The salt of one field of a group."""
    return hmac.digest(group_salt, b"salt" + index.to_bytes(4, "big") + name.encode(), "sha256")[:16]


def field_commitment(salt: bytes, name: str, value: bytes) -> bytes:
    """The commitment of one field; ``value`` is canonical JSON."""
    encoded = name.encode()
    return hashlib.sha256(_FIELD + salt + len(encoded).to_bytes(2, "big") + encoded + value).digest()


def group_commitments(group_salt: bytes, fields: Mapping[str, bytes]) -> list[bytes]:
    """The commitments of a group's fields in order, the count first. ``fields`` maps names to canonical JSON."""
    ordered = [("count", b"%d" % len(fields)), *sorted(fields.items())]
    digest, sha256 = hmac.digest, hashlib.sha256
    result = []
    for index, (name, value) in enumerate(ordered):
        encoded = name.encode()
        salt = digest(group_salt, b"salt" + index.to_bytes(4, "big") + encoded, "sha256")[:16]
        result.append(sha256(_FIELD + salt + len(encoded).to_bytes(2, "big") + encoded + value).digest())
    return result


def group_root(group_salt: bytes, fields: Mapping[str, bytes]) -> bytes:
    """The root of one group."""
    return tree_root(group_commitments(group_salt, fields))


def tree_root(hashes: list[bytes]) -> bytes:
    """The RFC 6962 root over a short list of leaf hashes."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(tree_root(hashes[:split]), tree_root(hashes[split:]))


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
