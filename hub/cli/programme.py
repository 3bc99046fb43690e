"""``hub programme``: benefit programmes, proposed by one person and approved by another (docs/BENEFITS.md)."""

import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hub.access.approvals import read_private_key
from hub.benefits.programme import read_programme
from hub.cli.desks import approval_desk
from hub.cli.session import open_database, read_settings, run
from hub.flows.disclosure.change_programmes import (
    Version,
    approve_programme,
    list_programmes,
    propose_programme,
    retire_programme,
)
from hub.store.database import DbRole

app = typer.Typer(help="Benefit programmes: propose, approve, list, retire.", no_args_is_help=True)


@app.callback()
def _programme() -> None:
    """Benefit programmes: propose, approve, list, retire."""


@app.command("add")
def add_command(
    file: Annotated[Path, typer.Argument(help="TOML file with the programme.")],
    account: Annotated[str, typer.Option(help="The security administrator who proposes it.")],
    key: Annotated[Path, typer.Option(help="PEM file with his Ed25519 key.")],
    password_file: Annotated[Path | None, typer.Option(help="File with the password of that key.")] = None,
) -> None:
    """Propose a programme, or a new version of one, and sign for it. It may be asked once another has approved it."""
    programme = read_programme(file)
    private = _private(key, password_file)

    async def work() -> Version:
        async with approval_desk() as desk:
            return await propose_programme(desk, programme, account, private, production=read_settings().is_production)

    _tell(run(work()))


@app.command("approve")
def approve_command(
    programme: Annotated[str, typer.Argument(help="Id of the programme.")],
    version: Annotated[int, typer.Argument(help="Version, as `hub programme list` shows it.")],
    account: Annotated[str, typer.Option(help="The security administrator who approves; not who proposed it.")],
    key: Annotated[Path, typer.Option(help="PEM file with his Ed25519 key.")],
    accept: Annotated[
        list[str] | None, typer.Option(help="An overlap that is accepted: programme@version; may be repeated.")
    ] = None,
    password_file: Annotated[Path | None, typer.Option(help="File with the password of that key.")] = None,
) -> None:
    """Sign for a version, so that it may be asked; it takes the place of the version before."""
    private = _private(key, password_file)

    async def work() -> Version:
        async with approval_desk() as desk:
            return await approve_programme(
                desk,
                programme,
                version,
                account,
                private,
                tuple(accept or ()),
                production=read_settings().is_production,
            )

    _tell(run(work()))


@app.command("retire")
def retire_command(
    programme: Annotated[str, typer.Argument(help="Id of the programme.")],
    version: Annotated[int, typer.Argument(help="Version.")],
) -> None:
    """Let a version be asked no more, or drop one that waits."""

    async def work() -> None:
        async with approval_desk() as desk:
            await retire_programme(desk, programme, version)

    run(work())
    print(f"{programme}@{version} is retired.")


@app.command("list")
def list_command() -> None:
    """List every version, newest first. One JSON object per line."""

    async def work() -> None:
        database = await open_database(read_settings())
        owner = await database.connect(DbRole.OWNER)
        try:
            for line in await list_programmes(owner):
                print(json.dumps(line, ensure_ascii=False))
        finally:
            await owner.close()

    run(work())


def _private(key: Path, password_file: Path | None) -> Ed25519PrivateKey:
    return read_private_key(key, None if password_file is None else password_file.read_bytes().rstrip(b"\r\n"))


def _tell(version: Version) -> None:
    told = {
        "programme": version.programme_id,
        "version": version.version,
        "digest": version.digest.hex(),
        "overlaps": [{"with": one.other, "parts": list(one.parts)} for one in version.overlaps],
    }
    print(json.dumps(told, ensure_ascii=False))
