"""In production two administrators sign for the rules, and for whose view they change, before they are served."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.access.approvals import check_approved, proposal_of
from hub.access.legal_mode import LegalMode
from hub.access.publish import check_published
from hub.access.rules import RuleSet
from hub.core.errors import InputError, RefusedError, SettingsError
from hub.flows.receipts import receipt_desk
from hub.flows.rules.approve_rules import (
    SANDBOX_APPROVERS,
    ApprovalDesk,
    approve_rules,
    change_approver,
    propose_rules,
)
from hub.flows.rules.load_rules import RuleTerms, load_rules
from hub.flows.rules.rules_in_time import RulesInTime
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

IN_FORCE = "SELECT digest FROM access.policy_set WHERE retired_at IS NULL"
PRODUCTION = RuleTerms(production=True)
ADMINISTRATORS = ("li", "wang", "operator")


class Office:
    """The administrators, their keys, and what they do."""

    def __init__(self, database: Database, keys: FileKeys, home: Path, owner: asyncpg.Connection) -> None:
        self.database, self.keys, self.home, self.owner = database, keys, home, owner
        self.private = {name: Ed25519PrivateKey.generate() for name in ADMINISTRATORS}
        self.digest = RuleSet.load().digest

    async def open(self) -> None:
        for name, role in (("li", "SECURITY_ADMIN"), ("wang", "SECURITY_ADMIN"), ("operator", "OPERATOR")):
            await self.owner.execute("INSERT INTO auth.account (account_id, role) VALUES ($1, $2)", name, role)

    async def act(self, act: str, name: str = "") -> object:
        async with receipt_desk(self.database, self.keys, self.home) as receipts:
            desk = ApprovalDesk(self.owner, receipts, "operator", datetime.now(UTC))
            match act:
                case "register":
                    done = await change_approver(desk, name, self.private[name].public_key().public_bytes_raw())
                    # As he does on the page of pending changes (tests/people/test_approvers.py).
                    await self.owner.execute(
                        "UPDATE access.approver SET confirmed_at = registered_at WHERE account_id = $1", name
                    )
                    return done
                case "revoke":
                    return await change_approver(desk, name, None)
                case "approve":
                    found, _ = await approve_rules(desk, self.digest, name, self.private[name], production=True)
                    return found
                case "propose":
                    return await propose_rules(desk, LegalMode.LICENSED_BUREAU)
                case _:
                    ahead = datetime.now(UTC) + timedelta(days=3)
                    return await propose_rules(desk, LegalMode.LICENSED_BUREAU, ahead)

    async def load(self, **clock: object) -> bool:
        return await load_rules(self.database, self.keys, self.home, PRODUCTION, **clock)  # type: ignore[arg-type]


@pytest.fixture
async def office(database: Database, keys: FileKeys, tmp_path: Path) -> AsyncIterator[Office]:
    owner = await database.connect(DbRole.OWNER)
    office = Office(database, keys, tmp_path, owner)
    await office.open()
    yield office
    await owner.close()


async def test_in_production_rules_are_served_only_after_two_people_signed(office: Office) -> None:
    for name in ("li", "wang"):
        await office.act("register", name)
    for signed in ([], ["li"]):
        with pytest.raises(SettingsError, match=f"{len(signed)} of 2 approvals") as refused:
            await office.load()
        assert refused.value.code == "RULES_UNAPPROVED"
        assert await office.owner.fetchval(IN_FORCE) is None
        assert await office.act("approve", ("li", "wang")[len(signed)]) == ["li", "wang"][: len(signed) + 1]
    assert await office.load()
    assert await office.owner.fetchval(IN_FORCE) == office.digest
    await check_published(office.owner, office.keys)
    assert not await office.load()
    events = await office.owner.fetch(
        "SELECT convert_from(entry, 'UTF8') AS entry FROM audit.entry WHERE convert_from(entry, 'UTF8') LIKE '%rules:%'"
    )
    assert sum("rules:security:approved" in row["entry"] for row in events) == 2
    assert sum("rules:operator:proposed" in row["entry"] for row in events) == 1


async def test_one_person_cannot_sign_twice_and_not_everybody_may_sign(office: Office) -> None:
    await office.act("register", "li")
    await office.act("propose")
    assert await office.act("approve", "li") == ["li"]
    assert await office.act("approve", "li") == ["li"]
    with pytest.raises(InputError, match="SECURITY_ADMIN"):
        await office.act("register", "operator")
    with pytest.raises(RefusedError, match="not registered"):
        await office.act("approve", "wang")
    office.private["wang"] = office.private["li"]
    with pytest.raises(InputError, match="registered already"):
        await office.act("register", "wang")
    with pytest.raises(asyncpg.UniqueViolationError):
        # Nor can one person have two accounts of the role.
        await office.owner.execute(
            "UPDATE auth.account SET person_id = '00000000-0000-0000-0000-000000000001' WHERE role = 'SECURITY_ADMIN'"
        )


async def test_a_key_that_was_taken_back_signs_nothing_more(office: Office) -> None:
    for name in ("li", "wang"):
        await office.act("register", name)
    await office.act("propose")
    await office.act("approve", "li")
    await office.act("revoke", "li")
    assert await office.act("approve", "wang") == ["li", "wang"], "what was signed before counts"
    with pytest.raises(RefusedError):
        await office.act("approve", "li")


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE access.policy_proposal SET changes = '[]'",
        "UPDATE access.policy_proposal SET effective_from = effective_from - interval '1 day'",
        "UPDATE access.policy_proposal SET legal_mode = 'PUBLIC_PLATFORM'",
        "UPDATE access.policy_approval SET signature = decode(repeat('00', 64), 'hex') WHERE account_id = 'li'",
        "UPDATE access.approver SET confirmed_at = confirmed_at + interval '1 day' WHERE account_id = 'li'",
    ],
)
async def test_what_was_not_signed_does_not_count(office: Office, tampering: str) -> None:
    for name in ("li", "wang"):
        await office.act("register", name)
    await office.act("propose")
    for name in ("li", "wang"):
        await office.act("approve", name)
    await check_approved(office.owner, office.digest, production=True)
    await office.owner.execute(tampering)
    with pytest.raises(SettingsError, match="of 2 approvals"):
        await check_approved(office.owner, office.digest, production=True)


async def test_rules_in_force_keep_their_approvals_when_they_are_proposed_again(office: Office) -> None:
    for name in ("li", "wang"):
        await office.act("register", name)
    await office.act("propose")
    for name in ("li", "wang"):
        await office.act("approve", name)
    assert await office.load()
    await office.act("propose")
    await check_approved(office.owner, office.digest, production=True)
    # The kinds of basis are part of what was approved: one that is there in the database only is found at the start.
    await office.owner.execute("INSERT INTO access.mode_basis (digest, kind) VALUES ($1, 'POST_LOAN')", office.digest)
    with pytest.raises(SettingsError, match="POST_LOAN"):
        await check_published(office.owner, office.keys)


async def test_the_sandboxs_generated_administrators_count_in_the_sandbox_only(office: Office) -> None:
    assert await load_rules(office.database, office.keys, office.home)
    await check_approved(office.owner, office.digest, production=False)
    with pytest.raises(SettingsError) as refused:
        await office.load()
    assert refused.value.code == "RULES_UNAPPROVED"
    names = {row[0] for row in await office.owner.fetch("SELECT account_id FROM access.approver")}
    assert names == set(SANDBOX_APPROVERS)


@pytest.mark.long
async def test_rules_for_later_wait_while_the_old_ones_are_served(office: Office) -> None:
    for name in ("li", "wang"):
        await office.act("register", name)
    await office.act("propose")
    for name in ("li", "wang"):
        await office.act("approve", name)
    await office.load()
    # As if rules had been in force that are not this program's: their words are another comment.
    old = RuleSet.load()
    source = old.source.replace("is the default", "is the usual")
    await office.owner.execute("ALTER TABLE access.decision DROP CONSTRAINT decision_digest_fkey")
    older = RuleSet.of_source(source).digest
    await office.owner.execute("ALTER TABLE access.mode_basis DROP CONSTRAINT mode_basis_digest_fkey")
    await office.owner.execute("DELETE FROM access.policy_approval")
    await office.owner.execute("UPDATE access.policy_proposal SET digest = $1, source = $2", older, source)
    await office.owner.execute(
        "UPDATE access.policy_set SET digest = $1, source = $2, signature = $3", older, source,
        office.keys.signing_key("rules").sign(b"hub/access-rules/v1\0" + older),
    )  # fmt: skip
    await office.owner.execute("UPDATE access.decision SET digest = $1", older)
    await office.owner.execute("UPDATE access.mode_basis SET digest = $1", older)
    held, office.digest = office.digest, older
    for name in ("li", "wang"):
        await office.act("approve", name)
    office.digest = held
    assert await check_published(office.owner, office.keys) == older
    await office.act("propose later")
    for name in ("li", "wang"):
        await office.act("approve", name)
    assert not await office.load()
    assert await office.owner.fetchval(IN_FORCE) == older
    proposal = await proposal_of(office.owner, held)
    assert proposal is not None
    assert proposal.previous == older
    # A hub that serves meanwhile puts them in force when their instant comes, and answers by them from then on.
    began, told = time.monotonic(), asyncio.Queue[bytes]()

    def clock() -> datetime:
        return proposal.effective_from + timedelta(seconds=time.monotonic() - began - 1)

    later = RulesInTime(office.database, office.keys, office.home, PRODUCTION, told.put_nowait, clock)
    async with later.running(older):
        await asyncio.sleep(0.4)
        assert await office.owner.fetchval(IN_FORCE) == older
        assert await asyncio.wait_for(told.get(), 60) == held
    assert await office.owner.fetchval(IN_FORCE) == held
    assert not await office.load(clock=clock)
