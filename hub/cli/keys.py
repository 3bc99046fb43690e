"""``hub keys``: rotation of the keys, their backup, and the drill that proves it (docs/KEYS.md)."""

import getpass
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.session import open_database, operator_name, read_settings, run, tell
from hub.core.clock import iso, system_clock
from hub.core.errors import InputError
from hub.flows.keys.back_up_keys import back_up_keys, drill, read_backup
from hub.flows.keys.rotate_keys import KeyDesk, key_status, reindex, retire_key, rotate_keys
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.key_backup import HOLDERS, NEEDED, open_backup, restore_folder
from hub.store.keys import FileKeys
from hub.store.suites import Algorithm

app = typer.Typer(help="Keys: rotation, backup, recovery drill.", no_args_is_help=True)

_Passphrases = Annotated[
    list[Path] | None,
    typer.Option("--passphrase-file", help="File with one holder's passphrase; repeat it. Otherwise you are asked."),
]


@app.callback()
def _keys() -> None:
    """Keys: rotation, backup, recovery drill."""


@asynccontextmanager
async def _desk() -> AsyncIterator[KeyDesk]:
    settings = read_settings()
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    async with receipt_desk(database, keys, settings.home) as receipts:
        yield KeyDesk(database, keys, receipts, operator_name())


@app.command("status")
def status_command() -> None:
    """Every key version: its suite, its state, how many rows need it. One JSON object per line."""

    async def work() -> None:
        settings = read_settings()
        database = await open_database(settings)
        connection = await database.connect(DbRole.OWNER)
        try:
            for each in await key_status(connection, FileKeys(settings.keys_folder)):
                line = {
                    "version": each.known.version,
                    "suite": None if each.suite is None else each.suite.value,
                    "state": each.known.state,
                    "rows": each.rows,
                    "set_aside": each.known.set_aside,
                    "since": iso(each.known.noted_at),
                }
                print(json.dumps(line))
        finally:
            await connection.close()

    run(work())


@app.command("rotate")
def rotate_command(
    algorithm: Annotated[Algorithm | None, typer.Option(help="Cipher suite of the new version.")] = None,
    only_make: Annotated[bool, typer.Option("--only-make", help="Bring nothing over yet.")] = False,
) -> None:
    """Make a new key version and bring everything over to it. The hub answers meanwhile; pulls wait."""

    async def work() -> None:
        async with _desk() as desk:
            version = await rotate_keys(desk, algorithm or read_settings().key_algorithm)
            print(json.dumps({"version": version, "suite": desk.keys.algorithm(version).value}))
            if not only_make:
                await _reindex(desk)

    run(work())


@app.command("reindex")
def reindex_command() -> None:
    """Bring everything over to the newest version, from where it was broken off."""

    async def work() -> None:
        async with _desk() as desk:
            await _reindex(desk)

    run(work())


async def _reindex(desk: KeyDesk) -> None:
    done = await reindex(desk, watch=lambda place, rows: tell(f"{place}: {rows} rows"))
    print(json.dumps({"version": done.version, "rows": done.rows, "set_aside": done.set_aside}))


@app.command("retire")
def retire_command(
    version: Annotated[int, typer.Argument(help="The version to destroy.")],
    abandon: Annotated[int, typer.Option(help="Number of set-aside rows that are given up with it.")] = 0,
) -> None:
    """Destroy an older key version that nothing needs any more. There is no way back but a backup."""

    async def work() -> None:
        async with _desk() as desk:
            await retire_key(desk, version, abandon=abandon)
            print(json.dumps({"version": version, "state": "RETIRED"}))

    run(work())


@app.command("backup")
def backup_command(
    file: Annotated[Path, typer.Argument(help="Where to write it; must not be there yet.")],
    passphrase_file: _Passphrases = None,
) -> None:
    """Back the key folder up, sealed under three people's passphrases, any two of which open it."""
    given = _passphrases(passphrase_file, HOLDERS, twice=True)

    async def work() -> None:
        async with _desk() as desk:
            text = await back_up_keys(desk, given, system_clock)
            try:
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except OSError:
                raise InputError(f"the file {file} cannot be made.", remedy="Name a new file.") from None
            with os.fdopen(descriptor, "wb") as written:
                written.write(text)
            print(json.dumps({"file": str(file), "bytes": len(text)}))

    run(work())


@app.command("restore")
def restore_command(
    file: Annotated[Path, typer.Argument(help="The backup.")],
    folder: Annotated[Path, typer.Argument(help="An empty folder, such as HUB_HOME/keys of a new machine.")],
    passphrase_file: _Passphrases = None,
) -> None:
    """Write the keys of a backup into an empty folder. Needs no database."""
    backup = open_backup(read_backup(file), _passphrases(passphrase_file, NEEDED))
    restore_folder(backup, folder)
    print(json.dumps({"folder": str(folder), "files": len(backup.files), "made_at": iso(backup.made_at)}))


@app.command("drill")
def drill_command(
    file: Annotated[Path, typer.Argument(help="The backup.")], passphrase_file: _Passphrases = None
) -> None:
    """Prove a backup: it must hold every key in use, and open samples of everything. Exit code 1 if it does not."""
    given = _passphrases(passphrase_file, NEEDED)

    async def work() -> bool:
        async with _desk() as desk:
            found = await drill(desk, read_backup(file), given, system_clock)
        line = {"made_at": iso(found.backup_made_at), "samples": found.samples, "opened": found.opened}
        print(json.dumps(line | {"passed": found.passed, "lacking": found.lacking}))
        return found.passed

    if not run(work()):
        raise typer.Exit(1)


def _passphrases(files: list[Path] | None, wanted: int, *, twice: bool = False) -> list[str]:
    """The passphrases, from files or asked for one after another without showing them. Raises :class:`InputError`.

    ``twice``: each is asked for until it was typed the same two times; nobody can see what he mistyped.
    """
    if files:
        if len(files) != wanted:
            raise InputError(f"it takes {wanted} passphrase files.", remedy="Repeat --passphrase-file.")
        try:
            return [path.read_text(encoding="utf-8").strip() for path in files]
        except (OSError, UnicodeDecodeError):
            raise InputError("a passphrase file cannot be read.", remedy="Check --passphrase-file.") from None
    return [_asked(f"Passphrase of holder {number} of {wanted}: ", twice=twice) for number in range(1, wanted + 1)]


def _asked(prompt: str, *, twice: bool) -> str:
    while True:
        typed = getpass.getpass(prompt)
        if not twice or getpass.getpass("The same again: ") == typed:
            return typed
        tell("These are not the same; once more.")
