"""A change that comes again under the same key of its caller is not made again; it gets the first answer."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from hub.core.canonical import digest
from hub.core.errors import RefusedError
from hub.schema.context import OperationContext


class HeldReceipt:
    """The receipt of the first call, given again."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value

    def as_json(self) -> Mapping[str, Any]:
        """As it was."""
        return self._value


class KeyRefusedError(Exception):
    """The key cannot be used now; ``code`` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


Facts = dict[str, Any]


async def once(context: OperationContext, key: str, change: Callable[[], Awaitable[Facts | None]]) -> Facts | None:
    """Make the change, or give the facts of the first time. ``None`` (a refusal) is not kept.

    Raises :class:`KeyRefusedError`, :class:`RefusedError` for a caller whose registration or token ended since, and
    whatever the change raises; then the key is free again.
    """
    keys, bearer = context.ports.keys, context.bearer.id
    fingerprint = digest([context.operation.text, context.variables])
    state, held = await keys.claim(bearer, context.bearer.token_id, key, fingerprint)
    if state == "ANSWERED" and held is not None:
        found = orjson.loads(held)
        context.receipt = HeldReceipt(found["receipt"])
        facts: Facts = found["facts"]
        return facts
    if state == "REFUSED":
        raise RefusedError("This caller may not act any more.", code="NOT_ALLOWED")
    if state != "CLAIMED":
        raise KeyRefusedError("KEY_BUSY" if state == "BUSY" else "KEY_REUSED")
    try:
        made = await change()
    except BaseException:
        await keys.settle(bearer, key, None)
        raise
    receipt = context.receipt
    kept = None if made is None or receipt is None else {"facts": made, "receipt": receipt.as_json()}
    await keys.settle(bearer, key, None if kept is None else orjson.dumps(kept).decode())
    return made
