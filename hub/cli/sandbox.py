"""``hub sandbox``: a synthetic prefecture and its agencies, to try the hub without any agency."""

import asyncio
import signal
import sys
from datetime import date, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.core.clock import system_clock
from hub.sandbox.cast import SYSTEMS, account_id
from hub.sandbox.prefecture import Prefecture, yesterday
from hub.sandbox.sandbox import Sandbox
from hub.sandbox.tokens import (
    PERSON_MINUTES,
    PERSON_MINUTES_MAX,
    check_minutes,
    check_person,
    check_sandbox,
    person_code,
    person_token,
    resolve,
    system_token,
)
from hub.store.keys import FileKeys

app = typer.Typer(no_args_is_help=True, help="A synthetic prefecture and five agencies that misbehave on request.")


@app.command()
def serve(
    directory: Annotated[Path, typer.Option(help="Folder for sources.toml, keys and the agencies' files.")],
    households: Annotated[int, typer.Option(help="Number of households.")] = 2000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same prefecture.")] = 1,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The prefecture's day (default: yesterday).")
    ] = None,
    base_port: Annotated[
        int | None, typer.Option(help="First of seven ports on 127.0.0.1 (default: any free ones).")
    ] = None,
    at_once: Annotated[bool, typer.Option("--at-once", help="No limits of calls: to measure, not to try.")] = False,
) -> None:
    """Serve the sandbox agencies on 127.0.0.1 until interrupted.

    Then run: hub pull --sources DIRECTORY/sources.toml
    """
    day = as_of.date() if as_of else yesterday(system_clock())
    run(_serve(directory, households, seed, day, base_port, at_once=at_once))


@app.command()
def token(
    name: Annotated[
        str, typer.Argument(help="A system (rcb-risk), a person (borrower) or a role (RESIDENT: the first of it).")
    ],
    minutes: Annotated[
        int | None,
        typer.Option(min=1, max=PERSON_MINUTES_MAX, help=f"Life of a person's token (default: {PERSON_MINUTES})."),
    ] = None,
) -> None:
    """Print an access token of one of the sandbox's systems or people; nothing else goes to standard output.

    A system gets its token from the running hub, with its own key. A person's token is recorded in the audit log.
    """
    chosen = resolve(name)
    lifetime = check_minutes(chosen, minutes)
    settings = read_settings()
    cast = check_sandbox(settings)

    async def work() -> str:
        if chosen in SYSTEMS:
            return await system_token(settings, cast, chosen)
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        return await person_token(settings, database, keys, chosen, lifetime, operator=operator_name())

    print(run(work()))


@app.command()
def code(
    name: Annotated[str, typer.Argument(help="A person (borrower) or a role (RESIDENT: the first of it).")],
) -> None:
    """Print a one-time code with which one of the sandbox's people signs in at the hub's page; recorded.

    It is good for five minutes and one use. Roles that need two factors cannot sign in with it.
    """
    chosen = check_person(resolve(name))
    settings = read_settings()
    check_sandbox(settings)

    async def work() -> str:
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        return await person_code(settings, database, keys, chosen, operator=operator_name())

    print(f"hub: sign in as `{account_id(chosen)}`.", file=sys.stderr)
    print(run(work()))


async def _serve(
    directory: Path, households: int, seed: int, day: date, base_port: int | None, *, at_once: bool
) -> None:
    _tell(f"Making a prefecture of {households} households on {day}.")
    prefecture = await asyncio.to_thread(Prefecture, seed, households, day)
    sandbox = await Sandbox.start(directory, prefecture, base_port=base_port, tell=_tell)
    if at_once:
        await sandbox.answer_at_once()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    print(f"sources:  {sandbox.sources_file}")
    print(f"story:    {directory / 'story.json'}")
    print(f"control:  {sandbox.control.address()['url']} (token in {directory / 'control.json'})", flush=True)
    await ended.wait()
    _tell("Stopping.")
    await sandbox.stop()


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)
