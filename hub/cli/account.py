"""``hub account``: the people who use the hub: opened, changed and closed, with their passkeys."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hub.cli.desks import account_desk
from hub.cli.session import operator_name, read_settings, run
from hub.core.clock import day_of, system_clock
from hub.core.errors import InputError
from hub.core.names import Role
from hub.flows.people import change_account
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.account_holder import read_holder, resident_behind
from hub.flows.people.change_account import Changed, NewAccount
from hub.flows.people.enrol_passkey import issue_enrolment, revoke_passkey
from hub.flows.people.issue_token import SANDBOX_PREFIX
from hub.flows.people.list_accounts import list_accounts
from hub.settings import Settings
from hub.store.database import DbRole

app = typer.Typer(help="The people who use the hub.", no_args_is_help=True)

AccountId = Annotated[str, typer.Argument(help="Id of the account; it names nobody, so no names and no ID numbers.")]


@dataclass(frozen=True, slots=True)
class _At:
    """What a command works with."""

    desk: AccountDesk
    settings: Settings
    operator: str


@asynccontextmanager
async def _opened() -> AsyncIterator[_At]:
    async with account_desk(DbRole.INGEST) as desk:
        yield _At(desk, read_settings(), operator_name())


def _do(work: Callable[[_At], Awaitable[dict[str, Any]]]) -> None:
    """Run a command and print its result as one JSON object."""

    async def whole() -> dict[str, Any]:
        async with _opened() as at:
            return await work(at)

    print(json.dumps(run(whole()), ensure_ascii=False))


@app.command("open")
def open_command(
    account_id: AccountId,
    role: Annotated[Role, typer.Option(help="In which role the person acts.")],
    holder_file: Annotated[
        Path, typer.Option(help='File with {"id_number": "...", "name": "..."}, as read from the identity card.')
    ],
    organisation: Annotated[str | None, typer.Option(help="Id of the organisation the person works for.")] = None,
    county: Annotated[
        list[str] | None, typer.Option(help="A county of the account, 6 digits; may be repeated.")
    ] = None,
) -> None:
    """Open an account for a person whose identity card you have seen.

    All but RESIDENT, COLLECTOR and VILLAGE_REVIEWER wait for a security administrator at /accounts/changes.
    """
    if account_id.startswith(SANDBOX_PREFIX):
        raise InputError(f"ids that begin with `{SANDBOX_PREFIX}` are the sandbox's.", code="ACCOUNT_ID_TAKEN")
    holder = read_holder(holder_file, day_of(system_clock()))

    async def work(at: _At) -> dict[str, Any]:
        own = role in (Role.RESIDENT, Role.GUARDIAN)
        person = await resident_behind(at.desk, holder) if own else None
        account = NewAccount(account_id, role, person, None if own else holder, organisation, tuple(county or ()))
        return _told(await change_account.open_account(at.desk, account, operator=at.operator))

    _do(work)


@app.command("suspend")
def suspend_command(account_id: AccountId) -> None:
    """Suspend an account: whoever is signed in with it is out at once, and its tokens end."""
    _stop(account_id, "SUSPENDED")


@app.command("close")
def close_command(account_id: AccountId) -> None:
    """Close an account for good (a leaver): sessions, tokens, passkeys and enrolment codes end at once."""
    _stop(account_id, "CLOSED")


def _stop(account_id: str, status: str) -> None:
    async def work(at: _At) -> dict[str, Any]:
        return _told(await change_account.stop_account(at.desk, account_id, status, operator=at.operator))

    _do(work)


@app.command("resume")
def resume_command(account_id: AccountId) -> None:
    """Open a suspended account again."""

    async def work(at: _At) -> dict[str, Any]:
        return _told(await change_account.resume_account(at.desk, account_id, operator=at.operator))

    _do(work)


@app.command("assign")
def assign_command(
    account_id: AccountId,
    village: Annotated[str, typer.Option(help="Code of a village or township, 9 or 12 digits.")],
    from_day: Annotated[
        datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day (default: today).")
    ] = None,
    to_day: Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")] = None,
    end: Annotated[
        bool, typer.Option("--end", help="Take the village away after the last day (default: today).")
    ] = False,
) -> None:
    """Assign a village to a collector or reviewer for some days, or take it away (a mover)."""
    if not (village.isascii() and village.isdigit() and len(village) in {9, 12}):
        raise InputError("a village's code has 9 or 12 digits.", code="VILLAGE_CODE")
    first, last = _day(from_day) or day_of(system_clock()), _day(to_day)
    if last is not None and last < first and not end:
        raise InputError("the last day lies before the first.", code="DAYS")

    async def work(at: _At) -> dict[str, Any]:
        if end:
            on = last or day_of(system_clock())
            ended, receipt = await change_account.unassign_village(
                at.desk, account_id, village, on, operator=at.operator
            )
            return {"account": account_id, "ended": ended, "receipt": receipt.as_json()}
        receipt = await change_account.assign_village(at.desk, account_id, village, first, last, operator=at.operator)
        return {"account": account_id, "village": village, "from": first.isoformat(), "receipt": receipt.as_json()}

    _do(work)


def _day(given: datetime | None) -> date | None:
    return None if given is None else given.date()


@app.command("enrol")
def enrol_command(
    account_id: AccountId,
    checked: Annotated[str, typer.Option(help="How you identified the person, e.g. 'identity card seen, form 17'.")],
    hours: Annotated[int, typer.Option(help="How long the code is good.")] = 24,
) -> None:
    """Make a single-use code with which the person makes a passkey; hand it over in person.

    All but RESIDENT, COLLECTOR and VILLAGE_REVIEWER need a second code, which a security administrator hands over.
    """

    async def work(at: _At) -> dict[str, Any]:
        issued = await issue_enrolment(at.desk, account_id, checked, operator=at.operator, hours=hours)
        told = {
            "account": account_id,
            "code": issued.code,
            # Behind the number sign, so that it is sent to no server and stands in no log.
            "link": f"{at.settings.public_url}/enrol#{issued.code}",
            "expiresAt": issued.expires_at.isoformat(timespec="seconds"),
        }
        return told | ({} if issued.change_id is None else {"waitsFor": str(issued.change_id)})

    _do(work)


@app.command("revoke-passkey")
def revoke_command(passkey: Annotated[str, typer.Argument(help="Id of the passkey, from `hub account list`.")]) -> None:
    """Revoke the passkey of a lost device; its sessions and their tokens end at once."""
    try:
        passkey_id = UUID(passkey)
    except ValueError:
        raise InputError("this is no id of a passkey.", remedy="See `hub account list`.", code="ID_MALFORMED") from None

    async def work(at: _At) -> dict[str, Any]:
        account, sessions = await revoke_passkey(at.desk, passkey_id, operator=at.operator)
        return {"account": account, "passkey": passkey, "sessionsEnded": sessions}

    _do(work)


@app.command("list")
def list_command(
    role: Annotated[Role | None, typer.Option(help="Accounts of this role only.")] = None,
    with_closed: Annotated[bool, typer.Option("--closed", help="Closed accounts too.")] = False,
) -> None:
    """List the accounts of staff, one JSON object a line: no names, no numbers. Residents are counted, not listed."""

    async def work() -> list[dict[str, Any]]:
        async with _opened() as at:
            return await list_accounts(at.desk, role, with_closed=with_closed)

    for line in run(work()):
        print(json.dumps(line, ensure_ascii=False))


def _told(changed: Changed) -> dict[str, Any]:
    told: dict[str, Any] = {"account": changed.account_id, "role": changed.role.value, "status": changed.status}
    if changed.change_id is not None:
        told["waitsFor"] = str(changed.change_id)
    if changed.sessions_ended:
        told["sessionsEnded"] = changed.sessions_ended
    return told | {"receipt": changed.receipt.as_json()}
