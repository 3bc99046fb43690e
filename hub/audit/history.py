"""Who looked at one person's data: his chain of entries, opened with the keys, and whether it is complete.

Every entry about a person is a link in his chain: the n-th, naming the one before. A hidden entry leaves a gap, a
forged one fails against the entry it claims to belong to. Hiding the newest links is not found by the chain alone.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from hub.audit.commitments import FIRST_STEP, Link, open_field, tree_root
from hub.audit.data_keys import DataKeys
from hub.audit.detail import Blob, detail_context, unseal
from hub.audit.leaf import Leaf, LeafError
from hub.audit.tree import LOG_ID
from hub.core.clock import SHANGHAI
from hub.core.errors import AuditError
from hub.store.keys import KeyService

_PAGE = 500
_ALL = 2**62


@dataclass(frozen=True, slots=True)
class Access:
    """One entry about a person. ``own`` and ``shared`` are the facts of the event (hub/audit/events.py), ``None`` where
    the key was destroyed. ``intact`` says that the detail is what the entry committed to.
    """

    seq: int
    n: int
    ev: UUID
    at: datetime
    event: str
    organisation: str
    purpose: str | None
    decision: str
    actor: str | None
    own: dict[str, Any] | None
    shared: dict[str, Any] | None
    intact: bool
    link: Link | None


@dataclass(frozen=True, slots=True)
class _Opened:
    leaf: Leaf
    n: int
    part: int
    roots: tuple[bytes, ...]
    steps: tuple[bytes, ...]
    own: Blob | None
    shared: Blob | None

    def intact(self) -> bool:
        """Whether roots, steps and opened blobs are those under the entry's ``rc`` and ``sn``."""
        if tree_root(self.roots) != self.leaf.rc or tree_root(self.steps) != self.leaf.sn:
            return False
        if self.shared is not None and self.shared.root() != self.roots[0]:
            return False
        if self.own is None:
            return True
        link = self.own.link
        return (
            self.own.root() == self.roots[self.part]
            and link is not None
            and link.n == self.n
            and link.step() == self.steps[self.part]
        )


async def list_accesses(
    conn: asyncpg.Connection, keys: KeyService, person: UUID, *, before: int | None = None, limit: int = 50
) -> list[Access]:
    """The newest entries about ``person``, newest first; ``before`` continues below the ``n`` of an earlier page.

    ``conn`` is of role ``hub_app`` or ``hub_auditor``. Whether the asker is that person is judged by the caller. Raises
    :class:`AuditError` if a detail was altered or moved.
    """
    return [_access(opened, person) for opened in await _read(conn, keys, person, before or _ALL, limit)]


async def count_accesses(conn: asyncpg.Connection, person: UUID) -> int:
    """How many entries there are about ``person``."""
    number: int = await conn.fetchval("SELECT audit.subject_count($1)", person)
    return number


async def list_own_accesses(
    conn: asyncpg.Connection, keys: KeyService, persons: Sequence[UUID], *, before: int | None, limit: int
) -> tuple[list[Access], int]:
    """A page of all accesses to one person, newest first, and how many there are. ``persons``: the ids he was known by,
    the present one first; each has a chain of its own. The chains follow one another, the present one last, and are
    numbered through; ``before`` continues below such a number.

    Raises :class:`AuditError` if a chain has a gap within the page.
    """
    counts = [await count_accesses(conn, person) for person in persons]
    total = sum(counts)
    found: list[Access] = []
    end, below = total, total + 1 if before is None else before
    for person, count in zip(persons, counts, strict=True):
        offset = end - count
        wanted = min(below - offset, count + 1)
        if wanted > 1 and len(found) < limit:
            page = await list_accesses(conn, keys, person, before=wanted, limit=limit - len(found))
            check_complete(page, wanted - 1)
            found += [replace(access, n=access.n + offset) for access in page]
        end = offset
    return found, total


def check_complete(accesses: Sequence[Access], count: int) -> None:
    """Raise :class:`AuditError` unless ``accesses`` (newest first, from the newest on) are one page of the whole chain
    of ``count`` links without a gap.
    """
    expected, following = count, None
    for access in accesses:
        if access.n != expected or not access.intact:
            raise _gap(expected)
        if following is not None and access.link is not None and following.previous != access.link.step():
            raise _gap(expected)
        following, expected = access.link, expected - 1
    if following is not None and following.n == 1 and following.previous != FIRST_STEP:
        raise _gap(1)
    if not accesses and count:
        raise _gap(count)


def _gap(n: int) -> AuditError:
    return AuditError(
        f"the list of accesses is not complete: link {n} is missing or does not fit.",
        remedy="Report this to the supervisor; `hub audit verify` on an export tells what happened to the log.",
        code="AUDIT_GAP",
    )


async def person_lines(
    conn: asyncpg.Connection, keys: KeyService, person: UUID, size: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The lines about one person for an exported bundle of ``size`` entries: opened fields, and links of his chain.

    Format: docs/AUDIT.md. Only the person's own groups are opened, not the shared ones.
    """
    openings, links, before = [], [], _ALL
    while page := await _read(conn, keys, person, before, _PAGE):
        before = page[-1].n
        for opened in page:
            if opened.own is None or opened.leaf.seq >= size:
                continue
            openings += [_opening_line(opened, opened.own, name) for name in sorted(opened.own.fields)]
            links.append(_link_line(opened, opened.own))
    return openings[::-1], links[::-1]


def _opening_line(opened: _Opened, blob: Blob, name: str) -> dict[str, Any]:
    told = open_field(blob.salt, blob.fields, opened.part, name, opened.roots)
    return {
        "v": 1,
        "seq": opened.leaf.seq,
        "group": told.group,
        "roots": [_text(root) for root in told.roots],
        "index": told.index,
        "count": told.count,
        "name": name,
        "salt": _text(told.salt),
        "value": blob.value(name),
        "path": [_text(value) for value in told.path],
    }


def _link_line(opened: _Opened, blob: Blob) -> dict[str, Any]:
    link = blob.link
    if link is None:
        raise AuditError("a personal part of an audit detail has no link.", code="AUDIT_DETAIL")
    return {
        "v": 1,
        "seq": opened.leaf.seq,
        "step": opened.part,
        "steps": [_text(step) for step in opened.steps],
        "person": str(link.subject),
        "chain": link.chain,
        "n": link.n,
        "previous": _text(link.previous),
        "salt": _text(link.salt),
    }


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


async def _read(conn: asyncpg.Connection, keys: KeyService, person: UUID, before: int, limit: int) -> list[_Opened]:
    origin = await conn.fetchval("SELECT audit.log_origin($1)", LOG_ID)
    rows = await conn.fetch("SELECT * FROM audit.subject_entries($1, $2, $3)", person, before, limit)
    data_keys = DataKeys(keys)
    found = []
    for row in rows:
        leaf = _leaf(row)

        def blob(part: int, kind: str, row: asyncpg.Record = row, leaf: Leaf = leaf) -> Blob | None:
            if row[f"{kind}_wrapped"] is None:
                return None
            cipher = data_keys.cipher(row[f"{kind}_key"], row[f"{kind}_wrapped"])
            return unseal(cipher, row[f"{kind}_sealed"], detail_context(origin, row["seq"], leaf.ev, part))

        found.append(
            _Opened(
                leaf,
                row["n"],
                row["part"],
                tuple(row["roots"]),
                tuple(row["steps"]),
                blob(row["part"], "own"),
                blob(0, "shared"),
            )
        )
    return found


def _leaf(row: asyncpg.Record) -> Leaf:
    try:
        return Leaf.parse(row["entry"])
    except LeafError:
        raise AuditError(
            f"entry {row['seq']} of the audit log was altered in the database.",
            remedy="Export the log and run `hub audit verify` on it.",
            code="AUDIT_DAMAGED",
        ) from None


def _access(opened: _Opened, person: UUID) -> Access:
    leaf, own, shared = opened.leaf, opened.own, opened.shared
    link = None if own is None else own.link
    return Access(
        leaf.seq,
        opened.n,
        leaf.ev,
        datetime.fromtimestamp(leaf.t / 1000, SHANGHAI),
        leaf.what,
        leaf.organisation,
        leaf.purpose,
        leaf.decision,
        None if shared is None else shared.value("actor"),
        None if own is None else own.facts(),
        None if shared is None else shared.facts(),
        opened.intact() and (link is None or link.subject == person),
        link,
    )
