"""What ``hub doctor`` says of accounts: who cannot sign in with two factors, what nobody uses, who should have left."""

import asyncpg

from hub.cli.finding import Finding

_UNUSED_DAYS = 365

_STAFF = """
SELECT count(*) FROM auth.account a
 WHERE a.status = 'ACTIVE' AND auth.factors_needed(a.role) = 2 AND NOT starts_with(a.account_id, 'sandbox-')
"""
_WITHOUT_PASSKEY = """
   AND NOT EXISTS (SELECT FROM auth.passkey p WHERE p.account_id = a.account_id AND p.revoked_at IS NULL)
"""
_UNUSED = """
SELECT count(*) FROM auth.passkey p
 WHERE p.revoked_at IS NULL AND coalesce(p.used_at, p.enrolled_at) < clock_timestamp() - make_interval(days => $1)
"""
_LEFT = """
SELECT o.organisation_id FROM access.organisation o
 WHERE EXISTS (SELECT FROM access.client c WHERE c.organisation_id = o.organisation_id)
   AND NOT EXISTS (SELECT FROM access.client c
                    WHERE c.organisation_id = o.organisation_id AND c.status <> 'CLOSED')
   AND (EXISTS (SELECT FROM access.officer f
                 WHERE f.organisation_id = o.organisation_id AND f.removed_at IS NULL)
        OR EXISTS (SELECT FROM auth.account a
                    WHERE a.organisation_id = o.organisation_id AND a.status IN ('ACTIVE', 'SUSPENDED')))
 ORDER BY 1
"""
_SANDBOX = """
SELECT count(*) FROM auth.account a WHERE starts_with(a.account_id, 'sandbox-') AND a.status = 'ACTIVE'
"""
_ADMINISTRATORS = """
SELECT count(*) FROM auth.account a WHERE a.role = 'SECURITY_ADMIN' AND a.status = 'ACTIVE'
   AND EXISTS (SELECT FROM auth.passkey p WHERE p.account_id = a.account_id AND p.revoked_at IS NULL)
"""
_NO_REGISTER = """
SELECT count(DISTINCT c.organisation_id) FROM access.client c
  JOIN access.organisation o ON o.organisation_id = c.organisation_id
 WHERE c.status = 'ACTIVE' AND o.officers_since IS NULL
"""


_OVERDUE = """
SELECT count(*) FROM access.breach_duty d JOIN access.breach b ON b.breach_id = d.breach_id
 WHERE d.done_at IS NULL AND d.due_at < clock_timestamp() AND b.state <> 'CLOSED'
"""
_BREACHES = "SELECT count(*) FROM access.breach WHERE state <> 'CLOSED'"


async def check_people(connection: asyncpg.Connection) -> list[Finding]:
    """Whether accounts, passkeys and officers are in order. ``connection`` is the owner's."""
    staff: int = await connection.fetchval(_STAFF)
    bare: int = await connection.fetchval(_STAFF + _WITHOUT_PASSKEY)
    found = [_accounts(staff, bare)]
    if staff:
        found += _administration(await connection.fetchval(_ADMINISTRATORS), await connection.fetchval(_SANDBOX))
    found.append(_breaches(await connection.fetchval(_BREACHES), await connection.fetchval(_OVERDUE)))
    found.append(_passkeys(await connection.fetchval(_UNUSED, _UNUSED_DAYS)))
    left = [row["organisation_id"] for row in await connection.fetch(_LEFT)]
    found.append(_officers(left, await connection.fetchval(_NO_REGISTER)))
    return found


def _accounts(staff: int, bare: int) -> Finding:
    if bare:
        return Finding(
            "accounts",
            False,
            f"{bare} of {staff} accounts that need two factors have no passkey: nobody can sign in with them.",
            "`hub account list` shows them; run `hub account enrol` for each, or `hub account close`.",
        )
    return Finding("accounts", True, f"every account that needs two factors has a passkey ({staff} accounts).")


def _administration(administrators: int, sandbox: int) -> list[Finding]:
    found: list[Finding] = []
    if administrators < 2:
        found.append(
            Finding(
                "administrators",
                False,
                f"{administrators} security administrators can sign in: nobody can approve what takes two people.",
                "Open two accounts of the role SECURITY_ADMIN before any other (docs/PEOPLE.md).",
            )
        )
    if sandbox:
        found.append(
            Finding(
                "sandbox",
                False,
                f"{sandbox} accounts of the sandbox are open beside real ones; one-time codes let anybody at this "
                "machine in.",
                "Keep the sandbox in a HUB_HOME of its own.",
            )
        )
    return found


def _breaches(open_ones: int, overdue: int) -> Finding:
    if overdue:
        return Finding(
            "breaches",
            False,
            f"{overdue} duties of {open_ones} open breaches were not done in time.",
            "`hub breach list` shows them; report and tell first, explain the delay, then `hub breach notify`.",
        )
    return Finding("breaches", True, f"no duty after a breach is overdue ({open_ones} open breaches).")


def _passkeys(unused: int) -> Finding:
    if unused:
        return Finding(
            "passkeys",
            False,
            f"{unused} passkeys were not used for a year.",
            "Ask their owners; `hub account revoke-passkey` for devices that are gone.",
        )
    return Finding("passkeys", True, "no passkey lies unused for a year.")


def _officers(left: list[str], without: int) -> Finding:
    if left:
        return Finding(
            "officers",
            False,
            f"{len(left)} organisations have no open system any more but officers or accounts, the first is {left[0]}.",
            "Run `hub client officer remove` and `hub account close` for them.",
        )
    if without:
        return Finding(
            "officers", True, f"{without} organisations have no register of officers: names they give are not checked."
        )
    return Finding("officers", True, "every organisation that may ask has a register of its officers.")
