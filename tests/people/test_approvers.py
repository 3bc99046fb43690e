"""The key of an administrator who signs for access rules is confirmed by himself, on the hub's page."""

import hashlib
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.access.approvals import approved_by, proposal_of
from hub.access.legal_mode import LegalMode
from hub.core.clock import system_clock
from hub.core.errors import RefusedError
from hub.core.names import Role
from hub.flows.people.change_account import stop_account
from hub.flows.rules.approve_rules import ApprovalDesk, approve_rules, change_approver, propose_rules
from tests.api.world import Api

from .browser import Browser, browser
from .staff import Staff, staff_of

LI, WANG = "533103198501010017", "533103198601010016"


async def test_an_operator_alone_puts_no_key_in_the_place_of_an_administrators(api: Api) -> None:
    async with staff_of(api) as staff, browser(api) as one, browser(api) as two:
        await _administrators(staff, one, two)

        def desk() -> ApprovalDesk:
            return ApprovalDesk(api.owner, staff.desk.receipts, "root", system_clock())

        proposal = await propose_rules(desk(), LegalMode.PUBLIC_PLATFORM)
        mine = {name: Ed25519PrivateKey.generate() for name in ("security-1", "security-2")}

        async def sign(name: str, key: Ed25519PrivateKey) -> list[str]:
            return (await approve_rules(desk(), proposal.digest, name, key, production=True))[0]

        for name, key in mine.items():
            await _refused(sign, name, key)
            await change_approver(desk(), name, key.public_key().public_bytes_raw())
            await _refused(sign, name, key)
        # Another administrator cannot confirm it; its owner does, and sees which key it is.
        assert await _decide(api, two, "security-1") == 403
        fingerprint = hashlib.sha256(mine["security-1"].public_key().public_bytes_raw()).hexdigest()
        assert fingerprint in (await one.open("/accounts/changes")).text
        assert await _decide(api, one, "security-1") == 200
        assert await sign("security-1", mine["security-1"]) == ["security-1"]
        await _refused(sign, "security-2", mine["security-2"])
        # A key of the operator's in its place waits as well, and meanwhile the administrator's own goes on counting.
        other = Ed25519PrivateKey.generate()
        await change_approver(desk(), "security-1", other.public_key().public_bytes_raw())
        await _refused(sign, "security-1", other)
        assert await _decide(api, one, "security-1", "refuse") == 200
        await _refused(sign, "security-1", other)
        assert await sign("security-1", mine["security-1"]) == ["security-1"]
        # What one person signed with two accounts, one after the other, counts once.
        await stop_account(staff.desk, "security-1", "CLOSED", operator="root")
        again = await staff.open("security-3", Role.SECURITY_ADMIN, LI)
        assert await _press(two, again.change_id, "approve") == 200
        another = Ed25519PrivateKey.generate()
        await change_approver(desk(), "security-3", another.public_key().public_bytes_raw())
        async with browser(api) as three:
            await _sign_in(staff, two, three, "security-3")
            assert await _decide(api, three, "security-3") == 200
        assert await sign("security-3", another) == ["security-1"]
        found = await proposal_of(api.owner, proposal.digest)
        assert found is not None
        assert len(await approved_by(api.owner, found, production=True)) == 1


async def _administrators(staff: Staff, one: Browser, two: Browser) -> None:
    await staff.open("security-1", Role.SECURITY_ADMIN, LI)
    await one.with_passkey(await staff.passkey("security-1"))
    second = await staff.open("security-2", Role.SECURITY_ADMIN, WANG)
    assert await _press(one, second.change_id, "approve") == 200
    await _sign_in(staff, one, two, "security-2")


async def _sign_in(staff: Staff, approving: Browser, visitor: Browser, account: str) -> None:
    """Enrol a passkey for an administrator, with another's approval, and sign in with it."""
    issued = await staff.code(account)
    assert await _press(approving, issued.change_id, "approve") == 200
    other = approving.page.text.partition('<code id="second-code">')[2].partition("</code>")[0]
    await visitor.with_passkey(await staff.passkey(account, issued.code, other))


async def _decide(api: Api, visitor: Browser, account: str, decision: str = "approve") -> int:
    change = await api.owner.fetchval(
        "SELECT change_id FROM auth.account_change WHERE account_id = $1 AND verb = 'APPROVER' AND state = 'PENDING'",
        account,
    )
    return await _press(visitor, change, decision)


async def _press(visitor: Browser, change: UUID | None, decision: str) -> int:
    """Send the form of the page of pending changes for a change, also where the page offers no button for it."""
    await visitor.open("/accounts/changes")
    form = visitor.forms["/accounts/changes"] | {"change": str(change), "decision": decision}
    visitor.page = await visitor.http.post("/accounts/changes", data=form)
    return visitor.page.status_code


async def _refused(
    sign: Callable[[str, Ed25519PrivateKey], Awaitable[list[str]]], name: str, key: Ed25519PrivateKey
) -> None:
    with pytest.raises(RefusedError) as refused:
        await sign(name, key)
    assert refused.value.code == "APPROVER"
