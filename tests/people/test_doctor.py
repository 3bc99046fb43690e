"""What `hub doctor` says of accounts, passkeys and officers."""

from uuid import uuid4

from hub.cli.doctor_people import check_people
from hub.store.database import Database, DbRole
from tests.api.world import BANK_A


async def test_what_is_amiss_with_people_is_told_and_how_to_mend_it(database: Database) -> None:
    owner = await database.connect(DbRole.OWNER)

    async def bad() -> set[str]:
        found = await check_people(owner)
        assert all(finding.remedy for finding in found if not finding.good)
        return {finding.check for finding in found if not finding.good}

    async def account(name: str, role: str, organisation: str | None = None) -> None:
        await owner.execute(
            "INSERT INTO auth.account (account_id, role, organisation_id) VALUES ($1, $2, $3)", name, role, organisation
        )

    async def passkey(name: str) -> None:
        await owner.execute(
            "INSERT INTO auth.passkey (passkey_id, account_id, credential_id, public_key, sign_count, synced)"
            " VALUES ($1, $2, $3, '', 0, false)",
            uuid4(), name, uuid4().bytes,
        )  # fmt: skip

    try:
        assert await bad() == set()
        await account("sandbox-steward", "STEWARD")
        assert await bad() == set(), "a sandbox by itself is in order"
        await account("steward-1", "STEWARD")
        assert await bad() == {"accounts", "administrators", "sandbox"}
        await owner.execute("UPDATE auth.account SET status = 'CLOSED' WHERE account_id = 'sandbox-steward'")
        for name in ("security-1", "security-2"):
            await account(name, "SECURITY_ADMIN")
            await passkey(name)
        await passkey("steward-1")
        assert await bad() == set()
        await owner.execute("UPDATE auth.passkey SET enrolled_at = now() - interval '366 days', used_at = NULL")
        assert await bad() == {"passkeys"}
        await owner.execute("UPDATE auth.passkey SET revoked_at = now() WHERE account_id LIKE 'security-%'")
        await owner.execute("UPDATE auth.passkey SET used_at = now()")
        assert await bad() == {"accounts", "administrators"}
        await owner.execute("UPDATE auth.passkey SET revoked_at = NULL")
        await owner.execute("INSERT INTO access.organisation VALUES ($1, 'x', 'x', 'BANK')", BANK_A)
        await owner.execute(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks,"
            " max_subjects_per_day) VALUES ('a', $1, 'BANK_RISK', '{}', '{}', '{}', 1)", BANK_A,
        )  # fmt: skip
        assert await bad() == set()
        assert any("no register of officers" in each.message for each in await check_people(owner))
        await account("officer-1", "LOAN_OFFICER", BANK_A)
        await passkey("officer-1")
        await owner.execute("UPDATE access.client SET status = 'CLOSED'")
        assert await bad() == {"officers"}
    finally:
        await owner.close()
