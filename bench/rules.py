"""What rules and consent cost the hub itself, outside the database: CPU of one thread, for one query after the other.

The database decides. Left to the hub are the names of parts on the way in, the reasons on the way back, and the notices
that the answer gives of them. Measured is the answer to a lender about one person of whom parts are withheld (all: the
dearest case) beside the same answer with nothing to tell; the difference and the names are what rules and consent add.
"""

import time
from datetime import datetime
from uuid import UUID

from bench.rounds import Variant
from hub.access.parts import PARTS, part_key
from hub.core.clock import SHANGHAI
from hub.core.disclosure import Disclosure, WithheldPart
from hub.core.fields import FIELDS
from hub.core.names import Purpose
from hub.flows.disclosure.disclose import withheld_part
from hub.schema.answer import borrower_profile

_QUERIES = 1000
_ASKED = frozenset(FIELDS)
_EVENT = UUID(int=1)


def variants() -> list[Variant]:
    """What a denial of every part adds, and what a query adds of which three parts are withheld."""
    return [
        Variant("rules and consent, all withheld", "queries/s", lambda: _added(len(PARTS)), "outside the database"),
        Variant("rules and consent, three withheld", "queries/s", lambda: _added(3), "outside the database"),
    ]


async def _added(number: int) -> dict[str, float]:
    asked = tuple(PARTS)
    lines = [f"{part_key(part)}=NO_BASIS" for part in asked[:number]]
    withheld = tuple(map(withheld_part, lines))
    began = time.thread_time()
    for _ in range(_QUERIES):
        _ = [part_key(part) for part in asked], tuple(map(withheld_part, lines))
    names = time.thread_time() - began
    seconds = max(names + _answers(withheld) - _answers(()), 1e-9)
    return {"rate": _QUERIES / seconds, "server_ms": seconds / _QUERIES * 1e3}


def _answers(withheld: tuple[WithheldPart, ...]) -> float:
    """Seconds for the answers of so many queries."""
    disclosure = Disclosure(
        event=_EVENT,
        as_of=datetime(2026, 1, 1, tzinfo=SHANGHAI),
        subject=None,
        other_adults=(),
        adults_not_shown=None,
        sections=(),
        withheld=withheld,
        absent=(),
        basis_id=None,
    )
    began = time.thread_time()
    for _ in range(_QUERIES):
        borrower_profile(disclosure, Purpose.LOAN_APPLICATION, _ASKED)
    return time.thread_time() - began
