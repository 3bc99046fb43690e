"""``hub alerts``: who asks about whom without reason (docs/ALERTS.md)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from hub.access.alerts import Alert, AlertKind, AlertOutcome
from hub.audit.receipts import Receipts
from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import day_of, iso, system_clock
from hub.core.errors import InputError
from hub.flows.duties.plant_canary import plant_canary
from hub.flows.duties.raise_alerts import close_one, raise_alerts, set_rule
from hub.flows.readings.operator_readings import alarms, outcomes
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys, KeyService

app = typer.Typer(help="Alarms about officers' queries.", no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """Alarms about officers' queries."""


@asynccontextmanager
async def _desk(role: DbRole) -> AsyncIterator[tuple[asyncpg.Connection, Receipts, KeyService]]:
    settings = read_settings()
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    async with receipt_desk(database, keys, settings.home) as receipts:
        connection = await database.connect(role)
        try:
            yield connection, receipts, keys
        finally:
            await connection.close()


@app.command("list")
def list_command(
    all_of_them: Annotated[bool, typer.Option("--all", help="Closed ones too.")] = False,
    kind: Annotated[AlertKind | None, typer.Option(help="Only this kind.")] = None,
) -> None:
    """Alarms, oldest first; recorded. One JSON object per line."""

    async def work() -> None:
        status = None if all_of_them else "OPEN"
        async with _desk(DbRole.INGEST) as (connection, receipts, _):
            for alert in await alarms(connection, receipts, operator_name(), status=status, kind=kind):
                print(_line(alert))

    run(work())


@app.command("scan")
def scan_command() -> None:
    """Look through the ledger of queries now; `hub worker` does so every day."""

    async def work() -> None:
        async with _desk(DbRole.INGEST) as (connection, receipts, _):
            raised = await raise_alerts(connection, receipts, system_clock)
            print(json.dumps(asdict(raised)))

    run(work())


@app.command("close")
def close_command(
    alert: Annotated[str, typer.Argument(help="Id of the alarm.")],
    outcome: Annotated[AlertOutcome, typer.Option(help="What a look at it found.")],
) -> None:
    """Close an alarm; recorded."""

    async def work() -> None:
        async with _desk(DbRole.INGEST) as (connection, receipts, _):
            print(_line(await close_one(connection, receipts, system_clock, _id(alert), outcome, operator_name())))

    run(work())


@app.command("report")
def report_command(
    days: Annotated[int, typer.Option(help="How many days back.", min=1, max=1000)] = 90,
) -> None:
    """Officers' queries against applications and the loan book; recorded. One JSON object per officer, worst first."""

    async def work() -> None:
        async with _desk(DbRole.INGEST) as (connection, receipts, _):
            for each in await outcomes(connection, receipts, operator_name(), days, day_of(system_clock())):
                print(json.dumps(asdict(each), ensure_ascii=False))

    run(work())


@app.command("thresholds")
def thresholds_command(
    kind: Annotated[AlertKind, typer.Argument(help="Kind of alarm.")],
    minimum: Annotated[int, typer.Option(help="Below this number nothing is an alarm.", min=1)],
    score: Annotated[float, typer.Option(help="Robust deviations above the usual; for NO_RESULT a share.", min=0.01)],
) -> None:
    """Set the thresholds of a kind; recorded."""

    async def work() -> None:
        async with _desk(DbRole.OWNER) as (connection, receipts, _):
            await set_rule(connection, receipts, kind, minimum, score, operator_name())
            print(json.dumps({"kind": kind.value, "minimum": minimum, "score": score}))

    run(work())


@app.command("plant")
def plant_command(
    county: Annotated[str, typer.Option(help="County, 6 digits.")],
    name: Annotated[str, typer.Option(help="A name like anybody's.")],
) -> None:
    """Add a person who does not exist. Number and name are shown this once; keep them out of every list but one."""

    async def work() -> None:
        async with _desk(DbRole.OWNER) as (connection, receipts, keys):
            made = await plant_canary(
                connection, keys, receipts, system_clock, county=county, name=name, operator=operator_name()
            )
            print(json.dumps({"id_number": made.id_number, "name": made.name}, ensure_ascii=False))

    run(work())


def _line(alert: Alert) -> str:
    told = {
        "id": str(alert.alert_id), "kind": alert.kind.value, "day": alert.day.isoformat(),
        "raised_at": iso(alert.raised_at), "organisation": alert.organisation_id, "officer": alert.officer,
        "village": alert.village_code, "observed": alert.observed, "usual": alert.usual, "score": alert.score,
        "status": alert.status, "outcome": None if alert.outcome is None else alert.outcome.value,
    }  # fmt: skip
    return json.dumps(told, ensure_ascii=False)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InputError("this is no id of an alarm.", remedy="`hub alerts list` shows them.") from None
