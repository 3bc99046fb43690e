"""Signed daily files of a bank (docs/contracts/bank.md).

Files are read in the order of their number. A file is judged as a whole before any row of it is used; a large one then
comes in several steps, so that it never lies unpacked in memory. The watermark is the number of the last file that was
judged: read, or refused. A refused file is left behind for good, because the bank publishes its repaired form under a
new name and number; a listed file that cannot be fetched stops the source, so that the next pull begins with it.
"""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from hub.connectors.check import FIRST_DAY, parse_day
from hub.connectors.formats.bank_rows import BankFile, bank_row
from hub.connectors.formats.detached_jws import (
    MAX_SIGNATURE_FILE_BYTES,
    Expected,
    KeySet,
    Verdict,
    read_key_set,
    verify_detached,
)
from hub.connectors.formats.packed_lines import count_lines, lines_of
from hub.connectors.port import Memory
from hub.connectors.sources import BankSource
from hub.connectors.transport.http import HttpCaller, Pace, Reply
from hub.connectors.transport.tls import trust_only
from hub.core.clock import Clock, day_of
from hub.core.errors import RetryableError, SourceError
from hub.core.names import RefusalReason
from hub.core.phases import Phase, passing
from hub.core.rows import CheckedRow, FileRead, FileRefused, Step

CALLS_PER_SECOND = 8
"""With a burst of two this stays within the bank's 10 calls in any second."""

SIGNATURE_ATTEMPTS = 3
"""How often a missing signature file is asked for before the file counts as unsigned."""

SIGNATURE_WAIT_SECONDS = 0.5
"""Wait between these attempts; it doubles once."""

KEY_SET_AGE_SECONDS = 300
"""The key set is read again because of an unknown key at most this often."""

MAX_FILE_BYTES = 128 * 1024 * 1024
"""Largest file as sent, which is held in memory until its signature is judged; some ten million rows."""

FILES_MAX = 100_000
"""Files that one pull reads at most: centuries of daily files. A list that never ends must not hold it for ever."""

ROWS_PER_STEP = 4000
"""About so many rows of a file are given on at once."""

ROWS_IN_A_ROW = 250
"""Rows that are checked before others get their turn: a few milliseconds."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_json = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of the bank's list of files."""

    name: str
    seq: int
    business_date: date
    rows: int


class BankConnector:
    """Reads the export files of one bank."""

    kind = "bank-files"

    def __init__(self, source: BankSource, pace: Pace | None = None) -> None:
        self._source = source
        self._exports_url = f"{source.base_url.rstrip('/')}/exports"
        client_cert = (source.client_cert_file, source.client_key_file)
        self._http = HttpCaller(
            source=source.name,
            tls=(
                None
                if source.ca_file is None
                else trust_only(source.ca_file, source=source.name, client_cert=client_cert)
            ),
            pace=pace or Pace(per_second=CALLS_PER_SECOND, burst=2),
            timeout_seconds=source.timeout_seconds,
            max_retries=source.max_retries,
        )
        self._keys: KeySet | None = None
        self._keys_reread_at: float | None = None

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        after = None if watermark is None else int(watermark["after_seq"])
        refused = await memory.refused_files()
        files = 0
        while True:
            listing, latest = await self._listing(after)
            for listed in listing:
                files += 1
                if files > FILES_MAX:
                    raise self._rubbish(f"the list of files does not end after {FILES_MAX}")
                async with contextlib.aclosing(self._file(listed, refused, day_of(clock()))) as steps:
                    async for step in steps:
                        yield step
                after = listed.seq
            if not listing or (after is not None and after >= latest):
                return

    async def close(self) -> None:
        await self._http.close()

    async def _listing(self, after: int | None) -> tuple[list[Listed], int]:
        """The next files after a number, ascending, and the greatest number there is."""
        params = None if after is None else {"after_seq": str(after)}
        document = await self._http.call(
            "GET", self._exports_url, self._document, phase=Phase.BANK_LISTING, params=params
        )
        files, latest = document.get("files"), document.get("latest_seq")
        if not isinstance(files, list) or not isinstance(latest, int):
            raise self._rubbish("the list of files is not as documented")
        listing = [self._listed(entry) for entry in files]
        listing.sort(key=lambda listed: listed.seq)
        return [listed for listed in listing if after is None or listed.seq > after], latest

    def _listed(self, entry: Any) -> Listed:
        match entry:
            case {"name": str() as name, "seq": int() as seq, "business_date": str() as day, "rows": int() as rows}:
                business_date = parse_day(day)
                if business_date is not None and business_date >= FIRST_DAY and _NAME.fullmatch(name):
                    return Listed(name, seq, business_date, rows)
        raise self._rubbish("an entry in the list of files is not as documented")

    async def _file(self, listed: Listed, refused: dict[str, str], today: date) -> AsyncGenerator[Step, None]:
        watermark = {"after_seq": listed.seq}
        url = f"{self._exports_url}/{listed.name}"
        data = await self._http.call(
            "GET",
            url,
            self._replicated,
            phase=Phase.BANK_FILE,
            expect=(200, 404),
            as_sent=True,
            max_bytes=MAX_FILE_BYTES,
        )
        signature = await self._signature(f"{url}.jws")
        reason = await self._judge(listed, data, signature)
        if reason is None:
            file = FileRead(listed.name, listed.business_date)
            rows: tuple[CheckedRow, ...] = ()
            of_file = BankFile(listed.name, self._source.bank_code, listed.business_date, today)
            async with contextlib.aclosing(rows_of_file(data, of_file)) as parts:
                async for part in parts:
                    if rows:
                        yield Step(rows=rows, file=file, file_ended=False)
                    rows = part
            yield Step(rows=rows, watermark=watermark, file=file)
            return
        fingerprint = hashlib.sha256(data + b"\n" + (b"missing" if signature is None else signature)).hexdigest()
        if refused.get(listed.name) == fingerprint:
            yield Step(watermark=watermark)  # reported in an earlier run, and the same bytes again
        else:
            yield Step(watermark=watermark, refused=FileRefused(listed.name, reason, fingerprint))

    def _replicated(self, reply: Reply) -> bytes:
        if reply.status == 404:
            raise RetryableError(
                f"{reply.place} is listed by the bank but not there yet for source `{self._source.name}`.",
                remedy="Run the pull again later.",
            )
        return reply.body

    async def _signature(self, url: str) -> bytes | None:
        for attempt in range(SIGNATURE_ATTEMPTS):
            if attempt:
                await asyncio.sleep(SIGNATURE_WAIT_SECONDS * attempt)
            found = await self._http.call(
                "GET", url, _found, phase=Phase.BANK_SIGNATURE, expect=(200, 404), as_sent=True
            )
            if found is not None:
                return found
        return None

    async def _judge(self, listed: Listed, data: bytes, signature: bytes | None) -> RefusalReason | None:
        """The first reason to refuse a file, ``None`` if its rows may be used (interface section 2)."""
        if signature is None:
            return RefusalReason.CONTROL_MISSING
        if len(signature) > MAX_SIGNATURE_FILE_BYTES or not await self._is_signed(listed, data, signature):
            return RefusalReason.SIGNATURE_INVALID
        with passing(Phase.VERIFY):
            lines = await asyncio.to_thread(count_lines, data)
        if lines is None:
            return RefusalReason.ENCODING_INVALID
        return None if lines == listed.rows else RefusalReason.COUNT_MISMATCH

    async def _is_signed(self, listed: Listed, data: bytes, signature: bytes) -> bool:
        expected = Expected(listed.name, listed.business_date.isoformat())
        if self._keys is None:
            self._keys = await self._key_set()
        verdict = _verdict(signature, data, self._keys, expected)
        now = asyncio.get_running_loop().time()
        if verdict is Verdict.UNKNOWN_KEY and (
            self._keys_reread_at is None or now - self._keys_reread_at >= KEY_SET_AGE_SECONDS
        ):
            self._keys_reread_at = now
            self._keys = await self._key_set()
            verdict = _verdict(signature, data, self._keys, expected)
        return verdict is Verdict.GOOD

    async def _key_set(self) -> KeySet:
        keys = read_key_set(await self._http.call("GET", self._source.jwks_url, self._document, phase=Phase.BANK_KEYS))
        if keys is None:
            raise self._rubbish("its key set is not a JSON Web Key Set")
        return keys

    def _document(self, reply: Reply) -> dict[str, Any]:
        try:
            value = _json.decode(reply.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise RetryableError(
                f"{reply.place} did not answer with a JSON object for source `{self._source.name}`.",
                remedy="Run the pull again later.",
            )
        return value

    def _rubbish(self, what: str) -> SourceError:
        return SourceError(
            f"The bank does not keep its interface for source `{self._source.name}`: {what}.",
            remedy="Report it to the bank; nothing was lost.",
        )


def _verdict(signature: bytes, data: bytes, keys: KeySet, expected: Expected) -> Verdict:
    with passing(Phase.VERIFY):
        return verify_detached(signature, data, keys, expected)


def _found(reply: Reply) -> bytes | None:
    return None if reply.status == 404 else reply.body


async def rows_of_file(data: bytes, file: BankFile) -> AsyncGenerator[tuple[CheckedRow, ...], None]:
    """The checked rows of a file, some thousand at a time; others get their turn in between."""
    rows: list[CheckedRow] = []
    number = 0
    for lines in lines_of(data):
        for start in range(0, len(lines), ROWS_IN_A_ROW):
            with passing(Phase.CHECK):
                for line in lines[start : start + ROWS_IN_A_ROW]:
                    number += 1
                    rows.append(bank_row(line, number, file))
            if len(rows) >= ROWS_PER_STEP:
                yield tuple(rows)
                rows = []
            await asyncio.sleep(0)
    if rows:
        yield tuple(rows)
