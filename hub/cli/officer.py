"""``hub client officer``: the register of the people who ask for an organisation."""

import csv
import json
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.desks import account_desk
from hub.cli.session import operator_name, run
from hub.core.clock import day_of, system_clock
from hub.core.errors import InputError
from hub.flows.people.account_holder import check_holder, read_holder
from hub.flows.people.officers import Officer, add_officers, remove_officer
from hub.store.database import DbRole

app = typer.Typer(help="The people who ask for an organisation, each under one id.", no_args_is_help=True)

_COLUMNS = ("officer_id", "id_number", "name")
_OFFICERS_MAX = 5000

Organisation = Annotated[str, typer.Argument(help="Id of the organisation; a bank's 12-digit code.")]
OfficerId = Annotated[str, typer.Argument(help="The id by which the organisation's system names the officer.")]


@app.command("add")
def add_command(
    organisation: Organisation,
    officer_id: OfficerId,
    holder_file: Annotated[Path, typer.Option(help='File with {"id_number": "...", "name": "..."}.')],
) -> None:
    """Add one officer. From the first on, queries that name anybody else are refused."""
    holder = read_holder(holder_file, day_of(system_clock()))
    _add(organisation, [Officer(officer_id, holder)])


@app.command("import")
def import_command(
    organisation: Organisation,
    file: Annotated[Path, typer.Argument(help="CSV in UTF-8 with the columns officer_id, id_number, name.")],
) -> None:
    """Add the officers of a file, all or none."""
    _add(organisation, read_officers(file))


def _add(organisation: str, officers: list[Officer]) -> None:
    async def work() -> tuple[int, object]:
        async with account_desk(DbRole.OWNER) as desk:
            added, receipt = await add_officers(desk, organisation, officers, operator=operator_name())
            return added, receipt.as_json()

    added, receipt = run(work())
    print(json.dumps({"organisation": organisation, "added": added, "receipt": receipt}))


@app.command("remove")
def remove_command(organisation: Organisation, officer_id: OfficerId) -> None:
    """Remove an officer: the next query in his name is refused. His id is nobody else's later."""

    async def work() -> object:
        async with account_desk(DbRole.OWNER) as desk:
            return (await remove_officer(desk, organisation, officer_id, operator=operator_name())).as_json()

    print(json.dumps({"organisation": organisation, "removed": officer_id, "receipt": run(work())}))


def read_officers(path: Path) -> list[Officer]:
    """The officers of a file. Raises :class:`InputError` naming the line, never a value."""
    today = day_of(system_clock())
    officers: list[Officer] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if tuple(rows.fieldnames or ()) != _COLUMNS:
                raise _refused(path, 1, f"the first line is not {','.join(_COLUMNS)}")
            for number, row in enumerate(rows, 2):
                if None in row or None in row.values() or number > _OFFICERS_MAX:
                    raise _refused(path, number, "it has not three columns, or there are too many lines")
                holder = check_holder(row["id_number"], row["name"], today)
                if holder is None:
                    raise _refused(path, number, "it holds no valid ID number or no name")
                officers.append(Officer(row["officer_id"].strip(), holder))
    except (OSError, UnicodeDecodeError, csv.Error):
        raise InputError(f"the file {path} cannot be read as CSV in UTF-8.", code="OFFICER_FILE") from None
    if not officers:
        raise _refused(path, 2, "there is no officer")
    return officers


def _refused(path: Path, line: int, why: str) -> InputError:
    return InputError(f"line {line} of {path}: {why}.", remedy="Nothing was added.", code="OFFICER_FILE")
