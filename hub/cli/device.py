"""``hub device``: collectors' devices, which sign what people decided in the field."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hub.cli.desks import account_desk
from hub.cli.session import operator_name, run
from hub.core.clock import iso
from hub.core.errors import InputError
from hub.flows.capture import change_device
from hub.store.database import DbRole

app = typer.Typer(help="Collectors' devices.", no_args_is_help=True)

DeviceId = Annotated[str, typer.Argument(help="Id of the device, for instance its inventory number; never a name.")]


@app.callback()
def _device() -> None:
    """Collectors' devices."""


@app.command("register")
def register_command(
    device_id: DeviceId,
    account: Annotated[str, typer.Option(help="Account of the collector who alone uses it.")],
    village: Annotated[str, typer.Option(help="Code of the village or township it works in, 9 or 12 digits.")],
    key: Annotated[Path, typer.Option(help="File with the device's public key, a JWK (P-256 or Ed25519).")],
) -> None:
    """Register a device with the public half of the key that lies in its own key store."""
    jwk = _read_jwk(key)

    async def work() -> dict[str, Any]:
        async with account_desk(DbRole.INGEST) as desk:
            receipt = await change_device.register_device(
                desk, device_id, account, village, jwk, operator=operator_name()
            )
        return {"device": device_id, "status": "ACTIVE", "receipt": receipt.as_json()}

    print(json.dumps(run(work()), ensure_ascii=False))


@app.command("lost")
def lost_command(device_id: DeviceId) -> None:
    """A device is lost: nothing more is taken from it, and its captures that wait are flagged."""
    _end(device_id, "LOST")


@app.command("retire")
def retire_command(device_id: DeviceId) -> None:
    """A device was given back, its slips delivered; its owner can be given another one."""
    _end(device_id, "RETIRED")


@app.command("list")
def list_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
) -> None:
    """List the devices with their owners' accounts; nobody's name."""

    async def work() -> list[dict[str, Any]]:
        async with account_desk(DbRole.INGEST) as desk:
            found = await change_device.list_devices(desk)
        return [
            dict(row) | {name: row[name] and iso(row[name]) for name in ("registered_at", "ended_at", "last_time")}
            for row in found
        ]

    devices = run(work())
    for device in devices:
        line = f"{device['device_id']:<24} {device['status']:<8} {device['account_id']:<24} {device['village_code']}"
        print(json.dumps(device, ensure_ascii=False) if as_json else line)
    if not devices and not as_json:
        print("No device is registered.")


def _end(device_id: str, status: str) -> None:
    async def work() -> dict[str, Any]:
        async with account_desk(DbRole.INGEST) as desk:
            flagged, receipt = await change_device.end_device(desk, device_id, status, operator=operator_name())
        return {"device": device_id, "status": status, "flagged": flagged, "receipt": receipt.as_json()}

    print(json.dumps(run(work()), ensure_ascii=False))


def _read_jwk(path: Path) -> dict[str, Any]:
    try:
        jwk = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        jwk = None
    if not isinstance(jwk, dict):
        raise InputError(f"the file {path} holds no JWK.", remedy="Export the device's public key.", code="DEVICE_KEY")
    return jwk
