"""Runs the operation of a past answer again, over what was disclosed then (hub/flows/readings/replay_answer.py).

The same schema, the same executor, the same answer objects as for a living request; only the gate is another: it hands
out what the log pins, and says whether the operation still asks for the parts that it asked for then.
"""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import orjson

from hub.access.parts import part_key
from hub.core.disclosure import Disclosure, DisclosureRequest
from hub.core.fields import IDENTITY
from hub.flows.readings.replay_answer import PastAnswer
from hub.schema.context import Bearer, OperationContext, Ports
from hub.schema.schema import build_schema
from hub.schema.selection import Selections


class _NoReceipt:
    """A replay is not the answer; its receipt stays with whoever got that."""

    def as_json(self) -> Mapping[str, Any]:
        return {}


class _PastGate:
    """Hands out one past disclosure. ``fits``: whether what is asked for is what was; ``None`` before anybody asked."""

    def __init__(self, answer: PastAnswer) -> None:
        self._answer = answer
        self.fits: bool | None = None

    async def disclose(self, request: DisclosureRequest) -> tuple[Disclosure, _NoReceipt]:
        asked = {part_key(part) for part in request.parts} | ({part_key(IDENTITY)} if request.others else set())
        self.fits = (
            asked == self._answer.asked
            and request.purpose is self._answer.purpose
            and request.operation == self._answer.document
        )
        return self._answer.disclosure, _NoReceipt()


async def run_again(answer: PastAnswer) -> bytes | None:
    """The bytes of ``data``, ``None`` if the schema of today does not answer the operation as it did.

    Whether a system or an account asked follows from its naming an officer; one that names itself is tried as both.
    """
    names_officer = answer.actor != answer.client_id
    for is_system in (names_officer, not names_officer):
        gate = _PastGate(answer)
        result = await build_schema().execute(
            answer.document, variable_values=answer.variables, context_value=_context(answer, gate, is_system)
        )
        if gate.fits is not None:
            return orjson.dumps(result.data) if gate.fits and not result.errors else None
    return None


def _context(answer: PastAnswer, gate: _PastGate, is_system: bool) -> OperationContext:
    as_of = answer.disclosure.as_of
    unused: dict[str, Any] = dict.fromkeys(port.name for port in fields(Ports))
    own = {"disclosing": gate, "selections": Selections(build_schema().graphql), "clock": lambda: as_of}
    ports = Ports(**unused | own)
    bearer = Bearer(answer.client_id, answer.token_id, is_system, answer.person_id)
    return OperationContext(bearer=bearer, language="zh", method="POST", ports=ports)
