"""The encrypted detail of an entry: its fields, their commitments, and the blobs that hold them.

Group 0 is shared and sealed under a key of the actor and year; every further group is about one person and sealed
under a key of that person and year. A blob is canonical JSON ``{"fields": {name: value}, "salt": base64, "v": 1}`` in
AES-256-GCM, 12 bytes nonce first, bound to log, place, event and group; a person's blob also has ``"link": {"chain",
"n", "person", "previous"}``, his place in his chain. Destroying a key makes its blobs unreadable; the roots and steps
that stay let everything else verify.

Fields of group 0: ``actor``, ``county``, ``operation`` (hexadecimal), ``queued``, and ``facts.<key>`` for every fact.
Fields of a person: ``facts.<key>``. The operation with its variables is ``request`` (base64) of the first person, or of
group 0 where there is none.
"""

import base64
import json
import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.audit.commitments import FIRST_STEP, OPEN_CHAIN, SALT_BYTES, Link, blind_of, group_root, link_salt, tree_root
from hub.core.canonical import INTEGER_MAX
from hub.core.errors import AuditError, SettingsError
from hub.store.keys import DamagedSealError, KeyService

_NONCE_BYTES = 12
_CONTEXT = b"hub/detail/v1\x00"


class PendingRow(Protocol):
    """A row of the outbox, by column name; ``taken`` says that an entry of its id exists already."""

    def __getitem__(self, column: str) -> Any: ...


@dataclass(frozen=True, slots=True)
class Draft:
    """A row of the outbox with its facts read; ``event`` is the id that the entry gets."""

    row: PendingRow
    event: UUID
    subjects: list[UUID]
    persons: dict[UUID, dict[str, bytes]]
    shared: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Chain:
    """The end of one person's chain: how many links, and the commitment of the last."""

    n: int = 0
    step: bytes = FIRST_STEP


@dataclass(frozen=True, slots=True)
class Part:
    """One group ready to be sealed. ``holder`` owns the key; ``subject`` is the person of a personal group."""

    holder: bytes
    subject: UUID | None
    n: int | None
    root: bytes
    step: bytes
    blob: bytes


@dataclass(frozen=True, slots=True)
class Detail:
    """Everything under ``rc`` and ``sn`` of one entry."""

    parts: tuple[Part, ...]
    rc: bytes
    sn: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """An opened group: the secret salt, the fields as canonical JSON by name, and the link of a personal group."""

    salt: bytes
    fields: dict[str, bytes]
    link: Link | None

    def value(self, name: str) -> Any:
        """The value of a field, ``None`` if there is none of that name."""
        text = self.fields.get(name)
        return None if text is None else json.loads(text)

    def facts(self) -> dict[str, Any]:
        """All facts of the group."""
        return {name[6:]: json.loads(text) for name, text in self.fields.items() if name.startswith("facts.")}

    def root(self) -> bytes:
        """The group's commitment."""
        return group_root(self.salt, self.fields)


def read_row(row: PendingRow) -> Draft:
    """Read the facts of a row and find the persons concerned, including any named only in the facts.

    A row whose id was used before is recorded under a fresh one and keeps the claimed one as a field: an event can
    neither be recorded twice under one id nor hide behind an older one.
    """
    persons, shared = _facts(row["facts"])
    operation, claimed = row["operation"], row["taken"]
    shared["actor"] = _json(row["actor"])
    shared["county"] = _json(row["county"])
    shared["operation"] = _json(None if operation is None else operation.hex())
    shared["queued"] = _json(row["queued_at"].isoformat(timespec="milliseconds"))
    if claimed:
        shared["claimed"] = _json(str(row["ev"]))
    subjects = list(dict.fromkeys([*row["subjects"], *persons]))
    return Draft(row, uuid4() if claimed else row["ev"], subjects, persons, shared)


def compose(draft: Draft, keys: KeyService, actor_holder: bytes, chains: dict[UUID, Chain]) -> Detail:
    """Make the groups of a row's detail, and move the chains of its persons on by one (``chains`` is changed)."""
    subjects, persons, shared = draft.subjects, draft.persons, draft.shared
    request = open_request(keys, draft.row["ev"], draft.row["sealed"])
    if not subjects:
        shared |= request
    salt = os.urandom(SALT_BYTES)
    blind = blind_of(salt)
    parts = [Part(actor_holder, None, None, group_root(salt, shared), blind, _blob(salt, shared))]
    for position, subject in enumerate(subjects):
        end = chains.get(subject, Chain())
        own = persons.get(subject, {})
        if position == 0:
            own |= request
        salt = os.urandom(SALT_BYTES)
        link = Link(subject, OPEN_CHAIN, end.n + 1, end.step, link_salt(salt))
        step = link.step()
        chains[subject] = Chain(link.n, step)
        parts.append(Part(subject.bytes, subject, link.n, group_root(salt, own), step, _blob(salt, own, link)))
    return Detail(tuple(parts), tree_root([part.root for part in parts]), tree_root([part.step for part in parts]))


def open_request(keys: KeyService, event: UUID, sealed: bytes | None) -> dict[str, bytes]:
    """The field that holds the operation with its variables.

    A text that cannot be opened is kept as it came: losing it would lose evidence, refusing it would stop the log.
    """
    if sealed is None:
        return {}
    try:
        return {"request": _base64(keys.open("audit-transit", sealed, event.bytes))}
    except (DamagedSealError, SettingsError, IndexError):
        return {"requestSealed": _base64(sealed)}


def seal(cipher: AESGCM, blob: bytes, context: bytes) -> bytes:
    """Encrypt a group's blob; ``context`` by :func:`detail_context`."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, blob, context)


def detail_context(origin: str, seq: int, event: UUID, part: int) -> bytes:
    """What a blob is bound to: it opens nowhere else."""
    return b"".join((_CONTEXT, origin.encode(), b"\x00", seq.to_bytes(8, "big"), event.bytes, part.to_bytes(2, "big")))


def unseal(cipher: AESGCM, sealed: bytes, context: bytes) -> Blob:
    """Decrypt a group. Raises :class:`AuditError` if it was altered or belongs elsewhere."""
    try:
        raw = json.loads(cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context))
    except (InvalidTag, ValueError):
        raise AuditError(
            "the detail of an audit entry was altered or moved.",
            remedy="Run `hub audit verify` on an export and compare with receipts.",
            code="AUDIT_DETAIL",
        ) from None
    fields = {name: orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for name, value in raw["fields"].items()}
    salt, link = base64.b64decode(raw["salt"]), raw.get("link")
    if link is None:
        return Blob(salt, fields, None)
    previous = bytes.fromhex(link["previous"])
    return Blob(salt, fields, Link(UUID(link["person"]), link["chain"], link["n"], previous, link_salt(salt)))


def _facts(text: str) -> tuple[dict[UUID, dict[str, bytes]], dict[str, bytes]]:
    """Fields per person and shared fields. Facts without canonical form are kept whole, as the text they came in."""
    try:
        facts = orjson.loads(text)
        persons = {UUID(person): _fields(own) for person, own in facts.pop("persons", {}).items()}
        return persons, _fields(facts)
    except (ValueError, TypeError, AttributeError):
        return {}, {"factsText": _base64(text.encode())}


def _fields(facts: dict[str, Any]) -> dict[str, bytes]:
    _check(facts)
    if not all(key.isidentifier() for key in facts):
        raise ValueError("a fact's name is not a plain word")
    dumps, option = orjson.dumps, orjson.OPT_SORT_KEYS
    return {f"facts.{key}": dumps(value, option=option) for key, value in facts.items()}


def _check(value: Any) -> None:
    """Refuse what hub/core/canonical.py refuses. Written for speed: it runs over every fact of every entry."""
    kind = type(value)
    if kind is str:
        if not value.isascii() and not unicodedata.is_normalized("NFC", value):
            raise ValueError("not NFC")
    elif kind is dict:
        for key, item in value.items():
            if not key.isascii():
                raise ValueError("a key is not ASCII")
            _check(item)
    elif kind is list:
        for item in value:
            _check(item)
    elif kind is int:
        if abs(value) >= INTEGER_MAX:
            raise ValueError("an integer is too large")
    elif kind is float:
        raise ValueError("a number is not an integer")


def _blob(salt: bytes, fields: Mapping[str, bytes], link: Link | None = None) -> bytes:
    inner = b",".join([b'"%b":%b' % (name.encode(), value) for name, value in sorted(fields.items())])
    chain = b"" if link is None else b'"link":%b,' % _link(link)
    return b'{"fields":{%b},%b"salt":%b,"v":1}' % (inner, chain, _base64(salt))


def _link(link: Link) -> bytes:
    return (
        f'{{"chain":{link.chain},"n":{link.n},"person":"{link.subject}","previous":"{link.previous.hex()}"}}'.encode()
    )


def _json(value: str | None) -> bytes:
    if value is not None and not value.isascii():
        value = unicodedata.normalize("NFC", value)
    return orjson.dumps(value)


def _base64(raw: bytes) -> bytes:
    return b'"' + base64.b64encode(raw) + b'"'
