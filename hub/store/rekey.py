"""Seals and indexes what stands in the tables anew under the newest key version, batch by batch.

Two passes over the places (hub/records/key_places.py and others). ``seal`` opens every sealed text, seals it under the
newest key, and notes for each ID number, name and phone that it meets which new blind index belongs to which old one.
``index`` puts the new index wherever an old one stands; so a column needs no text of its own. A batch is one
transaction with the place where it ended: broken off anywhere, the job goes on there.

A text that does not open is set aside with its reason and does not stop the others.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
import orjson

from hub.core.text import normalise_name, remove_white_space
from hub.store.keys import DamagedSealError, KeyService

SEAL, INDEX = "seal", "index"
PASSES = (SEAL, INDEX)

_NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9]{17}[0-9Xx](?![0-9A-Za-z])")


class RotatingKeys(KeyService, Protocol):
    """A key service that can index under a version of choice."""

    def index_under(self, version: int, purpose: str, text: str) -> bytes:
        """The blind index under one version that is held."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed column. ``context``: SQL over the row ``t`` for what it is bound to; ``bound_to`` names that instead
    where it is a blind index of the same row, which changes together with it.
    """

    column: str
    purpose: str
    context: str = ""
    bound_to: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A table that holds sealed texts or blind indexes. ``key``: its primary key, column and type.

    ``is_directory``: the blind index is the primary key itself, so that two of one person may become one row.
    """

    table: str
    key: tuple[tuple[str, str], ...]
    sealed: tuple[Sealed, ...] = ()
    indexed: tuple[str, ...] = ()
    is_directory: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that carries a key version, sealed ones first."""
        return (*(each.column for each in self.sealed), *self.indexed)

    def in_pass(self, name: str) -> tuple[str, ...]:
        """The columns that a pass is to bring to the newest version."""
        if name == SEAL:
            return tuple(each.column for each in self.sealed if each.bound_to is None)
        return (*self.indexed, *(each.column for each in self.sealed if each.bound_to is not None))


class Watcher(Protocol):
    """Told after each committed batch; a test may break off there."""

    def __call__(self, place: str, rows: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Rekeying:
    """One run of the job: what it works with."""

    connection: asyncpg.Connection
    keys: RotatingKeys
    target: int
    rows_at_once: int
    watch: Watcher

    async def bring_over(self, place: Place, name: str) -> None:
        """One pass over one place, from where it stood; ends at once where nothing is left."""
        columns = place.in_pass(name)
        if not columns:
            return
        while await self._batch(place, name, columns):
            pass

    async def _batch(self, place: Place, name: str, columns: Sequence[str]) -> bool:
        async with self.connection.transaction():
            stood = await self.connection.fetchrow(
                "SELECT cursor, finished FROM keyring.progress WHERE target = $1 AND pass = $2 AND place = $3",
                self.target,
                name,
                place.table,
            )
            if stood is not None and stood["finished"]:
                return False
            cursor = None if stood is None else stood["cursor"]
            rows = await self.connection.fetch(_select(place, columns, cursor), self.target, self.rows_at_once,
                                               *(cursor or ()))  # fmt: skip
            if rows:
                await self._write(place, columns, rows, name)
                cursor = [rows[-1][f"key_{n}"] for n in range(len(place.key))]
            await self.connection.execute(
                """INSERT INTO keyring.progress AS p (target, pass, place, cursor, rows, finished)
                   VALUES ($1, $2, $3, $4, $5, $6)
                   ON CONFLICT (target, pass, place) DO UPDATE SET cursor = EXCLUDED.cursor,
                       rows = p.rows + EXCLUDED.rows, finished = EXCLUDED.finished""",
                self.target, name, place.table, cursor, len(rows), len(rows) < self.rows_at_once,
            )  # fmt: skip
        self.watch(place.table, len(rows))
        return len(rows) == self.rows_at_once

    async def _write(self, place: Place, columns: Sequence[str], rows: Sequence[Any], name: str) -> None:
        opened = [self._open(place, columns, row, name) for row in rows]
        met = {pair for each in opened for text in each.texts.values() for pair in identifiers(text)}
        await self._note_pairs(met)
        indexes = {row[column] for row in rows for column in place.indexed if _is_old(row[column], self.target)}
        matched = {} if name == SEAL else await self._matched(indexes)
        changes = []
        for row, each in zip(rows, opened, strict=True):
            new = self._renewed(place, columns, row, each, matched)
            aside = each.damaged or [c for c in columns if c not in new and _is_old(row[c], self.target)]
            if aside:
                await self._set_aside(place, row, aside[0], "DAMAGED" if each.damaged else "UNMATCHED")
            if new:
                changes.append((row, new))
        await self._update(place, changes)

    def _open(self, place: Place, columns: Sequence[str], row: Any, name: str) -> "_Opened":
        found = _Opened({}, [])
        for each in place.sealed:
            if not _is_old(row[each.column], self.target) or (name == INDEX and each.column not in columns):
                continue
            context = row[each.bound_to] if each.bound_to is not None else row[f"context_{each.column}"]
            try:
                found.texts[each.column] = self.keys.open(each.purpose, row[each.column], context)
            except DamagedSealError:
                if each.column in columns:
                    found.damaged.append(each.column)
        return found

    def _renewed(
        self, place: Place, columns: Sequence[str], row: Any, opened: "_Opened", matched: dict[bytes, bytes]
    ) -> dict[str, bytes]:
        """The columns of a row that change, with what they become."""
        new = {c: matched[row[c]] for c in place.indexed if c in columns and row[c] in matched}
        for each in place.sealed:
            text = opened.texts.get(each.column)
            if text is None or each.column not in columns:
                continue
            if each.bound_to is None:
                new[each.column] = self.keys.seal(each.purpose, text, row[f"context_{each.column}"])
            elif each.bound_to in new or not _is_old(row[each.bound_to], self.target):
                bound = new.get(each.bound_to, row[each.bound_to])
                new[each.column] = self.keys.seal(each.purpose, text, bound)
        # What is bound to an index moves only together with it: apart from each other neither would be found.
        for each in place.sealed:
            if each.bound_to in new and _is_old(row[each.column], self.target) and each.column not in new:
                del new[each.bound_to]
        return new

    async def _note_pairs(self, met: Iterable[tuple[str, str]]) -> None:
        pairs = {
            self.keys.index_under(version, purpose, text): self.keys.index(purpose, text)
            for purpose, text in met
            for version in self.keys.versions
            if version != self.target
        }
        if pairs:
            await self.connection.execute(
                """INSERT INTO keyring.index_map (old_index, new_index)
                   SELECT * FROM unnest($1::bytea[], $2::bytea[]) ON CONFLICT DO NOTHING""",
                list(pairs.keys()),
                list(pairs.values()),
            )

    async def _matched(self, indexes: Iterable[bytes]) -> dict[bytes, bytes]:
        records = await self.connection.fetch(
            "SELECT old_index, new_index FROM keyring.index_map WHERE old_index = ANY($1)", list(indexes)
        )
        return {record["old_index"]: record["new_index"] for record in records}

    async def _set_aside(self, place: Place, row: Any, column: str, reason: str) -> None:
        await self.connection.execute(
            """INSERT INTO keyring.set_aside (place, row_key, reason, version) VALUES ($1, $2, $3, $4)
               ON CONFLICT (place, row_key) DO UPDATE SET reason = EXCLUDED.reason, version = EXCLUDED.version""",
            f"{place.table}.{column}",
            ",".join(row[f"key_{n}"] for n in range(len(place.key))),
            reason,
            row[column][0],
        )

    async def _update(self, place: Place, changes: Sequence[tuple[Any, dict[str, bytes]]]) -> None:
        if place.is_directory:
            # The newest index of this person may stand there already; then the old one only has to go.
            column = place.key[0][0]
            taken = await self.connection.fetch(
                f"SELECT {column} FROM {place.table} WHERE {column} = ANY($1)",
                [new[column] for _, new in changes if column in new],
            )
            known = {record[0] for record in taken}
            gone = [row[column] for row, new in changes if new.get(column) in known]
            await self.connection.execute(f"DELETE FROM {place.table} WHERE {column} = ANY($1)", gone)
            changes = [(row, new) for row, new in changes if new.get(column) not in known]
        key = " AND ".join(f"t.{c} = ${n + 1}::text::{kind}" for n, (c, kind) in enumerate(place.key))
        for columns in sorted({tuple(sorted(new)) for _, new in changes}):
            first = len(place.key) + 1
            sets = ", ".join(f"{column} = ${first + n}" for n, column in enumerate(columns))
            await self.connection.executemany(
                f"UPDATE {place.table} t SET {sets} WHERE {key}",
                [
                    (*(row[f"key_{n}"] for n in range(len(place.key))), *(new[column] for column in columns))
                    for row, new in changes
                    if tuple(sorted(new)) == columns
                ],
            )


@dataclass(frozen=True, slots=True)
class _Opened:
    texts: dict[str, bytes]
    damaged: list[str]


def _is_old(value: bytes | None, target: int) -> bool:
    return bool(value) and value is not None and value[0] != target


def old_rows(columns: Iterable[str], version: str) -> str:
    """SQL: some column of the row ``t`` carries another version than the parameter, or exactly ``= $1``."""
    return " OR ".join(f"(octet_length(t.{c}) > 0 AND get_byte(t.{c}, 0) {version})" for c in columns)


def _select(place: Place, columns: Sequence[str], cursor: Sequence[str] | None) -> str:
    keys = [column for column, _ in place.key]
    shown = [f"t.{column}::text AS key_{n}" for n, column in enumerate(keys)]
    shown += [f"t.{column}" for column in place.columns]
    shown += [f"({each.context}) AS context_{each.column}" for each in place.sealed if each.bound_to is None]
    after = ""
    if cursor is not None:
        given = ", ".join(f"${n + 3}::text::{kind}" for n, (_, kind) in enumerate(place.key))
        after = f" AND ({', '.join(f't.{key}' for key in keys)}) > ({given})"
    order = ", ".join(f"t.{key}" for key in keys)
    return (
        f"SELECT {', '.join(shown)} FROM {place.table} t WHERE ({old_rows(columns, '<> $1')}){after}"
        f" ORDER BY {order} LIMIT $2"
    )


def identifiers(text: bytes) -> Iterator[tuple[str, str]]:
    """Purpose and text of everything in an opened text that may stand as a blind index somewhere."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text.decode("utf-8", "replace")
    yield from _in_value(value, "")


def _in_value(value: Any, name: str) -> Iterator[tuple[str, str]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _in_value(inner, str(key))
        case list():
            for inner in value:
                yield from _in_value(inner, name)
        case str():
            for found in _NUMBER.findall(value):
                yield from ((purpose, found.upper()) for purpose in ("identity", "holder"))
            if name == "name":
                yield "name", normalise_name(value)
            elif name == "phone":
                yield "phone", remove_white_space(value)
