"""Signed daily files of a bank (docs/contracts/bank.md).

Files are read in the order of their number, one step per file. The watermark is the number of the last file that was
judged: read, or refused. A refused file is left behind for good, because the bank publishes its repaired form under a
new name and number; a listed file that cannot be fetched stops the source, so that the next pull begins with it.
"""

import asyncio
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec

from hub.connectors.check import parse_day
from hub.connectors.formats.bank_rows import BankFile, bank_row
from hub.connectors.formats.detached_jws import (
    MAX_SIGNATURE_FILE_BYTES,
    Expected,
    KeySet,
    Verdict,
    read_key_set,
    verify_detached,
)
from hub.connectors.port import Memory
from hub.connectors.sources import BankSource
from hub.connectors.transport.http import HttpCaller, Pace, Reply
from hub.connectors.transport.tls import trust_only
from hub.core.clock import Clock, day_of
from hub.core.errors import RetryableError, SourceError
from hub.core.names import RefusalReason
from hub.core.rows import CheckedRow, FileRead, FileRefused, Step

CALLS_PER_SECOND = 8
"""With a burst of two this stays within the bank's 10 calls in any second."""

SIGNATURE_ATTEMPTS = 3
"""How often a missing signature file is asked for before the file counts as unsigned."""

SIGNATURE_WAIT_SECONDS = 0.5
"""Wait between these attempts; it doubles once."""

KEY_SET_AGE_SECONDS = 300
"""The key set is read again because of an unknown key at most this often."""

MAX_TEXT_BYTES = 512 * 1024 * 1024
"""Largest file after unpacking; a larger one is no daily file of this bank."""

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

    def __init__(self, source: BankSource) -> None:
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
            pace=Pace(per_second=CALLS_PER_SECOND, burst=2),
            timeout_seconds=source.timeout_seconds,
            max_retries=source.max_retries,
        )
        self._keys: KeySet | None = None
        self._keys_reread_at: float | None = None

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        after = None if watermark is None else int(watermark["after_seq"])
        refused = await memory.refused_files()
        while True:
            listing, latest = await self._listing(after)
            for listed in listing:
                yield await self._file(listed, refused, day_of(clock()))
                after = listed.seq
            if not listing or (after is not None and after >= latest):
                return

    async def close(self) -> None:
        await self._http.close()

    async def _listing(self, after: int | None) -> tuple[list[Listed], int]:
        """The next files after a number, ascending, and the greatest number there is."""
        params = None if after is None else {"after_seq": str(after)}
        document = await self._http.call("GET", self._exports_url, self._document, params=params)
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
                if business_date is not None and _NAME.fullmatch(name):
                    return Listed(name, seq, business_date, rows)
        raise self._rubbish("an entry in the list of files is not as documented")

    async def _file(self, listed: Listed, refused: dict[str, str], today: date) -> Step:
        watermark = {"after_seq": listed.seq}
        url = f"{self._exports_url}/{listed.name}"
        data = await self._http.call("GET", url, self._replicated, expect=(200, 404), as_sent=True)
        signature = await self._signature(f"{url}.jws")
        outcome = await self._judge(listed, data, signature, today)
        if not isinstance(outcome, RefusalReason):
            return Step(rows=outcome, watermark=watermark, file=FileRead(listed.name, listed.business_date))
        fingerprint = hashlib.sha256(data + b"\n" + (b"missing" if signature is None else signature)).hexdigest()
        if refused.get(listed.name) == fingerprint:
            return Step(watermark=watermark)  # reported in an earlier run, and the same bytes again
        return Step(watermark=watermark, refused=FileRefused(listed.name, outcome, fingerprint))

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
            found = await self._http.call("GET", url, _found, expect=(200, 404), as_sent=True)
            if found is not None:
                return found
        return None

    async def _judge(
        self, listed: Listed, data: bytes, signature: bytes | None, today: date
    ) -> tuple[CheckedRow, ...] | RefusalReason:
        """The rows of a file, or the first reason to refuse it (interface section 2)."""
        if signature is None:
            return RefusalReason.CONTROL_MISSING
        if len(signature) > MAX_SIGNATURE_FILE_BYTES or not await self._is_signed(listed, data, signature):
            return RefusalReason.SIGNATURE_INVALID
        lines = await asyncio.to_thread(_lines, data)
        if lines is None:
            return RefusalReason.ENCODING_INVALID
        if len(lines) != listed.rows:
            return RefusalReason.COUNT_MISMATCH
        file = BankFile(listed.name, self._source.bank_code, listed.business_date, today)
        return await asyncio.to_thread(_rows, lines, file)

    async def _is_signed(self, listed: Listed, data: bytes, signature: bytes) -> bool:
        expected = Expected(listed.name, listed.business_date.isoformat())
        if self._keys is None:
            self._keys = await self._key_set()
        verdict = verify_detached(signature, data, self._keys, expected)
        now = asyncio.get_running_loop().time()
        if verdict is Verdict.UNKNOWN_KEY and (
            self._keys_reread_at is None or now - self._keys_reread_at >= KEY_SET_AGE_SECONDS
        ):
            self._keys_reread_at = now
            self._keys = await self._key_set()
            verdict = verify_detached(signature, data, self._keys, expected)
        return verdict is Verdict.GOOD

    async def _key_set(self) -> KeySet:
        keys = read_key_set(await self._http.call("GET", self._source.jwks_url, self._document))
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


def _found(reply: Reply) -> bytes | None:
    return None if reply.status == 404 else reply.body


def _lines(data: bytes) -> list[str] | None:
    """The lines of a packed file; ``None`` if it is not gzip, not UTF-8, or far too large."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            text = packed.read(MAX_TEXT_BYTES + 1)
        if len(text) > MAX_TEXT_BYTES:
            return None
        lines = text.decode("utf-8").split("\n")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        return None
    if not lines[-1]:
        lines.pop()  # the last line ends with LF as well
    return lines


def _rows(lines: list[str], file: BankFile) -> tuple[CheckedRow, ...]:
    return tuple(bank_row(line, number, file) for number, line in enumerate(lines, start=1))
