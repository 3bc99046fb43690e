"""Attack 21: a request for consent in another form than the one that there is. Nothing is kept of it, nobody asked."""

from typing import Any

import pytest

from tests.api.test_code_flow import details
from tests.api.world import HEAD, Api
from tests.auth.partner import Partner

from .test_token_layer import is_refused

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ASKED = "SELECT (SELECT count(*) FROM consent.request) + (SELECT count(*) FROM auth.pushed_request)"


async def test_attack_21_a_request_of_another_form_is_refused_before_anything_is_kept(
    api: Api, bank: Partner, unharmed: Any
) -> None:
    part = {"category": "tax.grade", "form": "VALUE"}
    wrong = [
        details(purpose="MARKETING"),  # unknown
        details(purpose="CARD_APPLICATION"),  # known, not registered for this system
        details(parts=[part | {"category": "tax.amount"}]),
        details(parts=[part, {"category": "religion", "form": "VALUE"}]),
        details(more=1),
        details(parts=[part | {"more": 1}]),
        details() * 2,
        [],
    ]
    before = await api.owner.fetchval(_ASKED)
    async with unharmed(counted=len(wrong), recorded=len(wrong)):
        for asked in wrong:
            reply = await bank.post("/oauth2/par", bank.push_form(asked), bound=False)
            is_refused(reply, "invalid_authorization_details")
            assert HEAD.number not in reply.text
    assert await api.owner.fetchval(_ASKED) == before
