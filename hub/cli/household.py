"""``hub household show``: household records beside their sources, for a data steward (docs/CONTRACTS.md 2.7)."""

from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, read_settings, run
from hub.cli.steward import acting_steward
from hub.core.clock import SHANGHAI, day_of, system_clock
from hub.core.errors import InputError
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.store.keys import FileKeys

app = typer.Typer(help="Household records.", no_args_is_help=True)


@app.callback()
def _household() -> None:
    """Household records, for data stewards."""


@app.command("show")
def show_command(
    id_number_file: Annotated[Path, typer.Option(help="ID numbers, one per line; never on the command line itself.")],
    purpose: Annotated[str, typer.Option(help="H: data quality, comparison with the sources.")],
    reason: Annotated[str, typer.Option(help="The case this is for; it is recorded.")],
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object per line; the only form there is.")
    ] = True,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="YYYY-MM-DD", help="The record of that day: who was in the household, and where."),
    ] = None,
    recorded_at: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="As the hub held it at that time (ISO 8601; without offset: Shanghai)."),
    ] = None,
    steward_token_file: Annotated[
        Path | None, typer.Option(help="File with the access token of a registered data steward.")
    ] = None,
) -> None:
    """Show the household record of each person in the file. Every record shown is an audited disclosure."""
    del json_lines
    numbers = _read_numbers(id_number_file)
    day, instant = _day(as_of), _instant(recorded_at)

    async def work() -> list[str]:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        steward = await acting_steward(database, keys, settings, steward_token_file)
        query = StewardQuery(steward, purpose, reason, day, instant)
        query.check(day_of(system_clock()))
        async with receipt_desk(database, keys, settings.home) as desk:
            return await show_households(database, keys, desk, query, numbers, system_clock)

    for line in run(work()):
        print(line)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError:
        raise InputError("--as-of is not a day.", remedy="Write it as YYYY-MM-DD.") from None


def _instant(text: str | None) -> datetime | None:
    try:
        found = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise InputError("--recorded-at is not a time.", remedy="Write it as 2026-10-20T07:00:00+08:00.") from None
    return found if found is None or found.tzinfo is not None else found.replace(tzinfo=SHANGHAI)


def _read_numbers(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            f"the file {path} cannot be read as text.", remedy="Give a UTF-8 file with one ID number per line."
        ) from None
