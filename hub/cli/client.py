"""``hub client``: the systems of banks and other organisations that may ask."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.access.clients import App, Client, Organisation
from hub.audit.proof import Receipt
from hub.auth.jwks import read_jwks
from hub.cli.desks import account_desk
from hub.cli.officer import app as officer_app
from hub.cli.session import operator_name, run
from hub.core.errors import InputError
from hub.core.names import Purpose, Role
from hub.flows.people.account_desk import AccountDesk
from hub.flows.people.change_client import list_clients, rotate_keys, set_client_status
from hub.flows.people.register_client import register_app, register_client
from hub.store.database import DbRole

app = typer.Typer(help="Systems that may ask.", no_args_is_help=True)
app.add_typer(officer_app, name="officer")


@app.callback()
def _client() -> None:
    """Systems that may ask."""


@app.command("register")
def register_command(
    client_id: Annotated[str, typer.Argument(help="Id of the system; it is `iss` and `sub` of its assertions.")],
    organisation: Annotated[str, typer.Option(help="Id of its organisation; a bank's 12-digit code.")],
    role: Annotated[Role, typer.Option(help="In which role it asks.")],
    county: Annotated[list[str], typer.Option(help="A county of its area, 6 digits; may be repeated.")],
    purpose: Annotated[list[Purpose], typer.Option(help="What it may ask for; may be repeated.")],
    keys: Annotated[Path, typer.Option(help="File with its public keys, a JWK set (RFC 7517).")],
    max_subjects: Annotated[int, typer.Option(help="How many people it may ask about in a day.")] = 500,
    status: Annotated[
        str | None, typer.Option(help="ACTIVE, SUSPENDED or CLOSED; as it is if not given, ACTIVE for a new one.")
    ] = None,
    name_zh: Annotated[str | None, typer.Option(help="Chinese name; makes or renames the organisation.")] = None,
    name_en: Annotated[str | None, typer.Option(help="English name of the organisation.")] = None,
    kind: Annotated[str, typer.Option(help="Kind of a new organisation.")] = "BANK",
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Where browsers are sent back to after consent; may be repeated.")
    ] = None,
    bearer: Annotated[
        bool,
        typer.Option(
            "--bearer", help="Give it tokens that anybody who holds them can use; only while it cannot do DPoP."
        ),
    ] = False,
) -> None:
    """Register a system, or change its registration; recorded in the audit log."""
    jwks = _read_keys(keys)
    client = Client(
        client_id,
        organisation,
        role,
        tuple(county),
        tuple(purpose),
        jwks,
        max_subjects,
        status,
        tuple(redirect_uri or ()),
        is_dpop_required=not bearer,
    )
    owner = None if name_zh is None else Organisation(organisation, name_zh, name_en or name_zh, kind)

    async def work() -> None:
        async with account_desk(DbRole.OWNER) as desk, desk.pool.acquire() as connection:
            done = await register_client(
                connection, desk.receipts, client, operator=operator_name(), organisation=owner
            )
        print(json.dumps({"client": client_id, "status": done.status, "receipt": done.receipt.as_json()}))

    run(work())


@app.command("register-app")
def register_app_command(
    client_id: Annotated[str, typer.Argument(help="Id of the app; it is `iss` and `sub` of its assertions.")],
    name_zh: Annotated[str, typer.Option(help="Chinese name, as people read it when they are asked.")],
    name_en: Annotated[str, typer.Option(help="English name.")],
    keys: Annotated[Path, typer.Option(help="File with its public keys, a JWK set (RFC 7517).")],
    redirect_uri: Annotated[list[str], typer.Option(help="Where browsers are sent back to; may be repeated.")],
    status: Annotated[
        str | None, typer.Option(help="ACTIVE, SUSPENDED or CLOSED; as it is if not given, ACTIVE for a new one.")
    ] = None,
) -> None:
    """Register an app through which people use the hub themselves; recorded in the audit log."""
    person_app = App(client_id, name_zh, name_en, _read_keys(keys), tuple(redirect_uri), status)

    async def work() -> None:
        async with account_desk(DbRole.OWNER) as desk, desk.pool.acquire() as connection:
            done = await register_app(connection, desk.receipts, person_app, operator=operator_name())
        print(json.dumps({"client": client_id, "status": done.status, "receipt": done.receipt.as_json()}))

    run(work())


@app.command("rotate")
def rotate_command(
    client_id: Annotated[str, typer.Argument(help="Id of the system.")],
    keys: Annotated[Path, typer.Option(help="File with its new public keys, a JWK set (RFC 7517).")],
    overlap_days: Annotated[int, typer.Option(help="How long its present keys stay good; 0 if one was lost.")] = 14,
) -> None:
    """Give a system new keys; for some days the present ones are good beside them."""
    jwks = _read_keys(keys)

    async def work(desk: AccountDesk) -> Receipt:
        return await rotate_keys(desk, client_id, jwks, overlap_days, operator=operator_name())

    _change(client_id, work, {"keys": len(jwks["keys"]), "overlapDays": overlap_days})


@app.command("suspend")
def suspend_command(client_id: Annotated[str, typer.Argument(help="Id of the system.")]) -> None:
    """Suspend a system: its next query is refused, whatever tokens it holds."""
    _set_status(client_id, "SUSPENDED")


@app.command("resume")
def resume_command(client_id: Annotated[str, typer.Argument(help="Id of the system.")]) -> None:
    """Let a suspended system ask again."""
    _set_status(client_id, "ACTIVE")


@app.command("close")
def close_command(client_id: Annotated[str, typer.Argument(help="Id of the system.")]) -> None:
    """Close a system for good."""
    _set_status(client_id, "CLOSED")


def _set_status(client_id: str, status: str) -> None:
    async def work(desk: AccountDesk) -> Receipt:
        return await set_client_status(desk, client_id, status, operator=operator_name())

    _change(client_id, work, {"status": status})


def _change(client_id: str, work: Callable[[AccountDesk], Awaitable[Receipt]], told: dict[str, Any]) -> None:
    async def whole() -> Receipt:
        async with account_desk(DbRole.OWNER) as desk:
            return await work(desk)

    print(json.dumps({"client": client_id} | told | {"receipt": run(whole()).as_json()}))


@app.command("list")
def list_command() -> None:
    """List the systems, one JSON object a line; of keys only their digests, as the audit log writes them."""

    async def whole() -> list[dict[str, Any]]:
        async with account_desk(DbRole.OWNER) as desk:
            return await list_clients(desk)

    for line in run(whole()):
        print(json.dumps(line, ensure_ascii=False))


def _read_keys(path: Path) -> dict[str, Any]:
    """The key set of a file, checked. Raises :class:`InputError`."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(f"the key file {path} cannot be read as JSON.", remedy="Give a JWK set (RFC 7517).") from None
    if not isinstance(document, dict):
        raise InputError(f"the key file {path} holds no JWK set.", remedy="Give a JWK set (RFC 7517).")
    read_jwks(document)
    return document
