"""``hub guardian``: who acts for which minor; registered by one data steward, approved by another (docs/CONSENT.md)."""

import hashlib
import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hub.cli.session import run
from hub.cli.steward import steward_act, steward_desk
from hub.core.clock import day_of, iso
from hub.core.errors import InputError
from hub.flows.consent.register_guardian import decide_guardian, end_guardian, list_guardians, register_guardian, sought
from hub.flows.people.account_holder import read_holder
from hub.records.people.guardians import EndCause, Ground, ListedGuardianship, Registration

app = typer.Typer(help="Guardians of minors.", no_args_is_help=True)

_Token = Annotated[Path | None, typer.Option(help="File with the access token of a registered data steward.")]
_Reason = Annotated[str, typer.Option(help="The case this is for; it is recorded.")]
_Id = Annotated[UUID, typer.Argument(help="The guardianship, as `hub guardian list` names it.")]


@app.callback()
def _guardian() -> None:
    """Guardians of minors."""


@app.command("add")
def add_command(
    ward: Annotated[Path, typer.Option(help='File with {"id_number": "...", "name": "..."} of the ward.')],
    guardian: Annotated[Path, typer.Option(help="File of the same kind for the guardian.")],
    ground: Annotated[Ground, typer.Option(help="Why he is guardian (民法典 art. 27 to 36).")],
    document: Annotated[str, typer.Option(help="Number of the document that says so.")],
    document_file: Annotated[Path, typer.Option(help="The document; its SHA-256 is kept, nothing else.")],
    reason: _Reason,
    since: Annotated[datetime | None, typer.Option(help="First day; else today.", formats=["%Y-%m-%d"])] = None,
    until: Annotated[datetime | None, typer.Option(help="Day on which it ends.", formats=["%Y-%m-%d"])] = None,
    steward_token_file: _Token = None,
) -> None:
    """Register a guardianship. It counts when another data steward approved it."""

    async def work() -> UUID:
        async with steward_desk() as desk:
            today = day_of(desk.clock())
            registration = Registration(
                sought(desk.keys, read_holder(ward, today)),
                sought(desk.keys, read_holder(guardian, today)),
                ground,
                document,
                _digest(document_file),
                today if since is None else since.date(),
                None if until is None else until.date(),
            )
            variables = {"ground": ground.value, "document": document}
            act = await steward_act(desk, reason, "hub guardian add", variables, steward_token_file)
            made, _ = await register_guardian(desk, act, registration)
            return made

    print(f"{run(work())} is registered and waits for another data steward.")


@app.command("approve")
def approve_command(
    guardianship: _Id,
    reason: _Reason,
    decline: Annotated[bool, typer.Option("--decline", help="Decline it instead.")] = False,
    steward_token_file: _Token = None,
) -> None:
    """Approve or decline what another data steward registered."""

    async def work() -> str:
        async with steward_desk() as desk:
            variables = {"guardianship": str(guardianship), "decline": decline}
            act = await steward_act(desk, reason, "hub guardian approve", variables, steward_token_file)
            state, _ = await decide_guardian(desk, act, guardianship, yes=not decline)
            return state

    print(f"{guardianship} {run(work())}")


@app.command("end")
def end_command(
    cause: Annotated[EndCause, typer.Option(help="Why it ends.")],
    reason: _Reason,
    guardianship: Annotated[UUID | None, typer.Argument(help="A registered guardianship.")] = None,
    ward: Annotated[Path | None, typer.Option(help="File of the ward, for one out of the roster.")] = None,
    guardian: Annotated[Path | None, typer.Option(help="File of the guardian, for one out of the roster.")] = None,
    steward_token_file: _Token = None,
) -> None:
    """End a guardianship at once, with the consents that rest on it alone."""
    if (guardianship is None) == (ward is None) or (ward is None) != (guardian is None):
        raise InputError(
            "one guardianship is ended: a registered one by its id, one out of the roster by its two people.",
            remedy="Give the id, or both --ward and --guardian.",
        )

    async def work() -> UUID:
        async with steward_desk() as desk:
            today = day_of(desk.clock())
            which = guardianship or (
                sought(desk.keys, read_holder(Path(str(ward)), today)),
                sought(desk.keys, read_holder(Path(str(guardian)), today)),
            )
            variables = {"guardianship": str(guardianship) if guardianship else None, "cause": cause.value}
            act = await steward_act(desk, reason, "hub guardian end", variables, steward_token_file)
            ended, _ = await end_guardian(desk, act, cause, which)
            return ended

    print(f"{run(work())} ENDED")


@app.command("list")
def list_command(
    everything: Annotated[bool, typer.Option("--all", help="Also those that are over or were declined.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List registered guardianships, newest first; nobody is named. What follows from the roster is not listed."""

    async def work() -> list[ListedGuardianship]:
        async with steward_desk() as desk:
            return await list_guardians(desk, None, open_only=not everything)

    found = run(work())
    for one in found:
        print(json.dumps(_line(one), ensure_ascii=False) if as_json else _text(one))
    if not found and not as_json:
        print("No guardianship is registered.")


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        raise InputError(f"the document {path} cannot be read.", remedy="Check the option that names it.") from None


def _line(one: ListedGuardianship) -> dict[str, Any]:
    return {
        "guardianship": str(one.guardianship_id), "county": one.county, "ground": one.ground, "source": one.source,
        "document": one.document, "from": one.from_day.isoformat(), "to": _day(one.to_day), "state": one.state,
        "proposed_by": one.proposed_by, "proposed_at": iso(one.proposed_at), "decided_by": one.decided_by,
        "ended_by": one.ended_by, "ended_at": None if one.ended_at is None else iso(one.ended_at), "cause": one.cause,
    }  # fmt: skip


def _text(one: ListedGuardianship) -> str:
    days = f"{one.from_day} to {one.to_day or 'majority'}"
    return f"{one.guardianship_id}  {one.ground:<9} {one.state:<9} {days}  {one.document or '(roster)'}"


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
