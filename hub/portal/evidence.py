"""Where a collector's device puts a picture that proves a consent: ``PUT /evidence/SHA256``, the bytes as the body.

The address is the picture's hash, so a device may send it again until it has an answer.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hub.core.disclosure import Asker
from hub.core.errors import HubError, InputError, RefusedError
from hub.flows.consent.consent_change import Operation

_DIGEST = re.compile(r"[0-9a-f]{64}")
_STATUS = {"EVIDENCE_UNANNOUNCED": 404, "EVIDENCE_SIZE": 413, "EVIDENCE_MEDIA_TYPE": 415}

Store = Callable[[Asker, bytes, bytes, Operation], Awaitable[Any]]
"""Takes the asker, the hash, the content and the operation; gives a receipt, ``None`` if it was there already."""


class EvidenceUpload:
    """The endpoint; whoever asks was authenticated before."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 201 for a picture that was taken, 200 for one that was there, 4xx with a code otherwise."""
        request = Request(scope, receive)
        await (await self._answer(request))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        digest = request.path_params["digest"]
        if request.method != "PUT" or not _DIGEST.fullmatch(digest):
            return _refused(
                405 if request.method != "PUT" else 404, "BAD_REQUEST", "PUT a picture to /evidence/SHA256."
            )
        operation = Operation("PUT /evidence", {"evidence": digest})
        try:
            receipt = await self._store(
                request.state.bearer.asker(), bytes.fromhex(digest), await request.body(), operation
            )
        except (InputError, RefusedError) as error:
            status = _STATUS.get(error.code, 403 if isinstance(error, RefusedError) else 422)
            return _refused(status, error.code, str(error))
        except HubError as error:
            return _refused(503, error.code, "Nothing was taken; try again in a moment.")
        told = {"sha256": digest} | ({} if receipt is None else {"receipt": receipt.as_json()})
        return Response(orjson.dumps(told), 200 if receipt is None else 201, media_type="application/json")


def _refused(status: int, code: str, message: str) -> Response:
    body = {"errors": [{"message": message, "extensions": {"code": code}}]}
    return Response(orjson.dumps(body), status, media_type="application/json; charset=utf-8")
