"""The accounts of staff as a list for operators: ids, roles, places, passkeys; nobody's name."""

from typing import Any

from hub.core.clock import day_of, iso
from hub.core.names import Role
from hub.flows.people.account_desk import AccountDesk

_ACCOUNTS = """
SELECT a.account_id, a.role, a.status, a.organisation_id, a.county_codes, a.village_codes, a.created_at,
       ARRAY (SELECT s.village_code || '/' || s.from_day || '/' || coalesce(s.to_day::text, '')
                FROM auth.assignment s
               WHERE s.account_id = a.account_id AND (s.to_day IS NULL OR s.to_day >= $3) ORDER BY 1) AS assigned,
       ARRAY (SELECT p.passkey_id FROM auth.passkey p
               WHERE p.account_id = a.account_id AND p.revoked_at IS NULL ORDER BY p.enrolled_at) AS passkeys,
       ARRAY (SELECT c.verb FROM auth.account_change c
               WHERE c.account_id = a.account_id AND c.state = 'PENDING' ORDER BY 1) AS waiting
  FROM auth.account a
 WHERE a.role NOT IN ('RESIDENT', 'GUARDIAN') AND ($1::text IS NULL OR a.role = $1) AND ($2 OR a.status <> 'CLOSED')
 ORDER BY a.role, a.account_id
"""


async def list_accounts(desk: AccountDesk, role: Role | None, *, with_closed: bool) -> list[dict[str, Any]]:
    """The accounts, each with its villages (code/first/last day) and passkeys, as JSON objects."""
    today = day_of(desk.clock())
    async with desk.reading() as conn:
        rows = await conn.fetch(_ACCOUNTS, None if role is None else role.value, with_closed, today)
    return [
        {
            "account": row["account_id"],
            "role": row["role"],
            "status": row["status"],
            "organisation": row["organisation_id"],
            "counties": list(row["county_codes"]),
            "villages": list(row["assigned"]) or list(row["village_codes"]),
            "passkeys": [str(each) for each in row["passkeys"]],
            "waiting": list(row["waiting"]),
            "openedAt": iso(row["created_at"]),
        }
        for row in rows
    ]
