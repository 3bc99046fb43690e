"""Tax records over REST (docs/contracts/tax.md).

A pull is one walk over all records changed since the watermark, page by page. The watermark moves only with the last
page, and then to 300 seconds before the agency's own, because a record may become visible that late. A walk whose
cursor expires begins again; what was delivered already is recognised by the ledger.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta
from typing import Any

from hub.connectors.formats.tax_rows import TaxRows
from hub.connectors.json_text import read_json
from hub.connectors.port import Memory
from hub.connectors.sources import TaxSource, read_secret
from hub.connectors.transport.http import HttpCaller, Pace, Reply
from hub.connectors.transport.tls import trust_only
from hub.core.clock import SHANGHAI, Clock, day_of
from hub.core.errors import RetryableError, SourceError
from hub.core.phases import Phase, passing
from hub.core.rows import Step

PAGE_ROWS = 500
"""Most records the agency gives per call."""

VISIBLE_AFTER = timedelta(seconds=300)
"""A record may become visible this long after its own time of change (interface section 2)."""

PAGES_MAX = 100_000
"""No walk is longer: fifty million records. One whose cursors never end must not hold the pull for ever."""

RESTARTS_MAX = 5
"""How often one pull begins its walk again because the cursor expired."""

TOKEN_SPARE_SECONDS = 10
"""A token is replaced this long before it expires, so that it does not expire on the way."""

_CODE = re.compile(r"[A-Z0-9]{1,8}")


class _CursorExpiredError(Exception):
    """The walk must begin again."""


class TaxConnector:
    """Reads the taxpayer records of the tax bureau."""

    kind = "tax-rest"

    def __init__(self, source: TaxSource, pace: Pace | None = None) -> None:
        self._source = source
        self._records_url = f"{source.base_url.rstrip('/')}/taxpayer-records"
        self._credentials = (
            read_secret(source.client_id_file, source, "client_id_file"),
            read_secret(source.client_secret_file, source, "client_secret_file"),
        )
        self._http = HttpCaller(
            source=source.name,
            tls=None if source.ca_file is None else trust_only(source.ca_file, source=source.name),
            # The limit is 5 calls a second with bursts of 10; going beyond it too often gets a client blocked by hand.
            pace=pace or Pace(per_second=4.5, burst=5),
            timeout_seconds=source.timeout_seconds,
            max_retries=source.max_retries,
        )
        self._token: str | None = None
        self._token_ends = 0.0

    async def pull(self, watermark: Any | None, memory: Memory, clock: Clock) -> AsyncGenerator[Step, None]:
        since = None if watermark is None else str(watermark["updated_since"])
        for _ in range(RESTARTS_MAX + 1):
            try:
                async with contextlib.aclosing(self._walk(since, clock)) as walk:
                    async for step in walk:
                        yield step
            except _CursorExpiredError:
                continue
            return
        raise SourceError(
            f"The tax bureau dropped the cursor of source `{self._source.name}` {RESTARTS_MAX + 1} times in one pull.",
            remedy="Run the pull again later.",
        )

    async def close(self) -> None:
        await self._http.close()

    async def _walk(self, since: str | None, clock: Clock) -> AsyncGenerator[Step, None]:
        rows = TaxRows(day_of(clock()))
        params = {"limit": str(PAGE_ROWS)} if since is None else {"updated_since": since, "limit": str(PAGE_ROWS)}
        cursors: set[str] = set()
        page = 0
        while True:
            page += 1
            data = await self._page(params)
            records, cursor = data.get("records"), data.get("next_cursor")
            if not isinstance(records, list) or not isinstance(cursor, str | None):
                raise self._rubbish("an answer has no list of records or no readable cursor")
            if len(records) > PAGE_ROWS:
                raise self._rubbish(f"a page has more than the {PAGE_ROWS} records that were asked for")
            if cursor in cursors:
                raise self._rubbish("a walk comes back to a cursor that was used before")
            if page == PAGES_MAX and cursor:
                raise self._rubbish(f"a walk does not end after {PAGES_MAX} pages")
            with passing(Phase.CHECK):
                checked = tuple(rows.check(record, page) for record in records)
            if not cursor:
                start = self._next_start(data.get("high_watermark"), clock())
                yield Step(rows=checked, watermark={"updated_since": start})
                return
            yield Step(rows=checked)
            cursors.add(cursor)
            params = {"cursor": cursor}

    def _next_start(self, high_watermark: Any, now: datetime) -> str:
        """A mark in the future, from a clock gone wrong, would make the next pulls miss rows."""
        try:
            mark = datetime.fromisoformat(high_watermark)
        except (TypeError, ValueError):
            mark = None
        if mark is None or mark.tzinfo is None or not 1900 <= mark.year < 9999:
            raise self._rubbish("the last page of a walk has no readable `high_watermark`")
        return (min(mark, now) - VISIBLE_AFTER).astimezone(SHANGHAI).isoformat(timespec="milliseconds")

    async def _page(self, params: dict[str, str]) -> dict[str, Any]:
        """The ``data`` of one answer. A refused token is replaced once; a second refusal in a row is permanent."""
        for _ in range(2):
            token = await self._bearer_token()
            data = await self._http.call(
                "GET",
                self._records_url,
                self._judge_page,
                phase=Phase.TAX_PAGE,
                expect=(200, 401),
                params=params,
                headers={"Authorization": f"Bearer {token}"},
            )
            if data is not None:
                return data
            self._token = None
        raise SourceError(
            f"The tax bureau refused two fresh tokens in a row for source `{self._source.name}`.",
            remedy="Ask the bureau whether the client is still allowed to read credit records.",
        )

    def _judge_page(self, reply: Reply) -> dict[str, Any] | None:
        """The ``data`` of an answer, ``None`` if the token was refused."""
        if reply.status == 401:
            return None
        envelope = self._object(reply)
        match envelope.get("code"), envelope.get("data"):
            case "0000", dict() as data:
                return data
            case "E2001", _:
                raise _CursorExpiredError
            case "E4010", _:
                return None
            case "E9000", _:
                raise RetryableError(
                    f"The tax bureau is busy (E9000) for source `{self._source.name}`.", remedy="Pull again later."
                )
            case str() as code, _ if _CODE.fullmatch(code) and code != "0000":
                raise SourceError(
                    f"The tax bureau refused the query of source `{self._source.name}` with code {code}.",
                    remedy="Check with the bureau whether its interface has changed.",
                )
        raise self._rubbish("an answer is not the documented envelope")

    async def _bearer_token(self) -> str:
        now = asyncio.get_running_loop().time()
        if self._token is None or now >= self._token_ends:
            answer = await self._http.call(
                "POST",
                self._source.token_url,
                self._object,
                phase=Phase.TAX_TOKEN,
                form={"grant_type": "client_credentials", "scope": "credit.read"},
                basic=self._credentials,
            )
            token, seconds = answer.get("access_token"), answer.get("expires_in")
            if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
                raise self._rubbish("the token service gave no token")
            lifetime = seconds if isinstance(seconds, int) else 0
            self._token, self._token_ends = token, now + max(1, lifetime - TOKEN_SPARE_SECONDS)
        return self._token

    def _object(self, reply: Reply) -> dict[str, Any]:
        """The JSON object in an answer. A page of HTML with HTTP 200 is what overloaded front ends send: temporary."""
        try:
            value = read_json(reply.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise RetryableError(
                f"{reply.place} did not answer in JSON for source `{self._source.name}`.", remedy="Pull again later."
            )
        return value

    def _rubbish(self, what: str) -> SourceError:
        return SourceError(
            f"The tax bureau does not keep its interface for source `{self._source.name}`: {what}.",
            remedy="Report it to the bureau; nothing was lost.",
        )
