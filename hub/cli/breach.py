"""``hub breach``: what is done when personal data leaked, were altered or lost (docs/DUTIES.md)."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hub.access.breaches import Breach, BreachKind, HeldDuty, breach_duties, list_breaches
from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import SHANGHAI, iso, system_clock
from hub.core.errors import InputError
from hub.core.names import Category
from hub.flows.duties.breaches import (
    BreachAssessment,
    BreachDesk,
    BreachNotice,
    Reach,
    assess_breach,
    close_breach,
    find_breach,
    notify,
    open_breach,
)
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Breaches of personal data.", no_args_is_help=True)

_FORMATS = ["%Y-%m-%dT%H:%M", "%Y-%m-%d"]
BreachId = Annotated[str, typer.Argument(help="Id of the breach.")]


@app.callback()
def _breach() -> None:
    """Breaches of personal data."""


@asynccontextmanager
async def _desk() -> AsyncIterator[BreachDesk]:
    settings = read_settings()
    database = await open_database(settings)
    async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
        connection = await database.connect(DbRole.INGEST)
        try:
            yield BreachDesk(connection, receipts, system_clock, operator_name())
        finally:
            await connection.close()


def _do(work: Callable[[BreachDesk], Awaitable[Breach]]) -> None:
    async def whole() -> Breach:
        async with _desk() as desk:
            return await work(desk)

    print(_line(run(whole())))


@app.command("open")
def open_command(
    what: Annotated[BreachKind, typer.Argument(help="What happened to the data.")],
    known: Annotated[datetime, typer.Option(formats=_FORMATS, help="When it became known (Asia/Shanghai).")],
    public_interest: Annotated[
        bool, typer.Option("--public-interest", help="National security or the public interest is at stake.")
    ] = False,
) -> None:
    """Open a breach: deadlines begin to count from when it became known."""
    _do(lambda desk: open_breach(desk, what, _local(known), public_interest=public_interest))


@app.command("assess")
def assess_command(
    breach: BreachId,
    notice_file: Annotated[
        Path, typer.Option(help="JSON with cause, harm, measures, advice, contact: what persons are told.")
    ],
    category: Annotated[list[Category], typer.Option(help="A category of data it reaches; may be repeated.")],
    since: Annotated[datetime | None, typer.Option("--from", formats=_FORMATS, help="From when.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=_FORMATS, help="Until before when.")] = None,
    asker: Annotated[str | None, typer.Option(help="Only what this organisation was shown.")] = None,
    county: Annotated[str | None, typer.Option(help="Everybody of a county, where a copy of the data is gone.")] = None,
    organisation: Annotated[list[str] | None, typer.Option(help="An organisation to be told; repeatable.")] = None,
    no_harm: Annotated[
        bool, typer.Option("--no-harm", help="The measures avert all harm, so the persons need not be told.")
    ] = False,
) -> None:
    """Say how far it reaches; the hub works out whom. A security administrator then decides at /breaches."""
    notice = BreachNotice.read(_read(notice_file))
    reach = Reach(since and _local(since), until and _local(until), asker, county)
    found = BreachAssessment(reach, tuple(category), tuple(organisation or ()), not no_harm, notice)
    _do(lambda desk: assess_breach(desk, _id(breach), found))


@app.command("notify")
def notify_command(
    breach: BreachId,
    duty: Annotated[str, typer.Argument(help="Which duty was done; `hub breach duties` lists them.")],
    channel: Annotated[str, typer.Option(help="How, for instance PORTAL, letter, telephone.")],
    reference: Annotated[str | None, typer.Option(help="Number of the letter or report.")] = None,
) -> None:
    """A duty was done. PERSONS puts the notice where they find it, ORGANISATIONS sends them the hub's message."""
    known = {each.name for each in breach_duties()}
    if duty not in known:
        raise InputError(f"`{duty}` is no duty.", remedy=f"One of {', '.join(sorted(known))}.", code="BREACH_DUTY")
    _do(lambda desk: notify(desk, _id(breach), duty, channel=channel, reference=reference))


@app.command("close")
def close_command(breach: BreachId) -> None:
    """Close a breach that was decided on and whose duties are all done."""
    _do(lambda desk: close_breach(desk, _id(breach)))


@app.command("list")
def list_command(
    all_of_them: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
) -> None:
    """Breaches, oldest first. One JSON object per line."""

    async def work() -> list[Breach]:
        async with _desk() as desk:
            return await list_breaches(desk.connection, with_closed=all_of_them)

    for breach in run(work()):
        print(_line(breach))


@app.command("show")
def show_command(breach: BreachId) -> None:
    """One breach, with everything that is to be done by when."""
    _do(lambda desk: find_breach(desk.connection, _id(breach)))


@app.command("duties")
def duties_command() -> None:
    """What the law wants done after a breach, for whom, by when. One JSON object per line."""
    for duty in breach_duties():
        print(json.dumps(asdict(duty), ensure_ascii=False))


def _line(breach: Breach) -> str:
    now = system_clock()
    told: dict[str, Any] = {
        "id": str(breach.breach_id), "what": breach.what.value, "known": iso(breach.discovered_at),
        "state": breach.state, "persons": breach.persons, "minors": breach.minors, "told": breach.told,
        "tell_persons": breach.tell_persons, "categories": list(breach.categories),
        "organisations": list(breach.organisations), "opened_by": breach.opened_by, "assessed_by": breach.assessed_by,
        "decided_by": breach.decided_by, "closed_by": breach.closed_by,
        "duties": [_duty(each, now) for each in breach.duties],
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False)


def _duty(duty: HeldDuty, now: datetime) -> dict[str, Any]:
    return {
        "duty": duty.name, "due": iso(duty.due_at), "done": None if duty.done_at is None else iso(duty.done_at),
        "overdue": duty.due_at < (duty.done_at or now), "by": duty.done_by, "channel": duty.channel,
        "reference": duty.reference,
    }  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"the notice {path} cannot be read.", remedy="Write a JSON object.", code="FILE") from None
    if not isinstance(found, dict):
        raise InputError(f"the notice {path} is no JSON object.", remedy="Write a JSON object.", code="FILE")
    return found


def _local(at: datetime) -> datetime:
    return at.replace(tzinfo=SHANGHAI)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError("this is no id of a breach.", remedy="`hub breach list` shows them.") from None
