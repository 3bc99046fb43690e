"""``hub consent``: people's receipts, the key that verifies them, and where organisations are told of changes."""

import json
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hub.cli.session import open_database, operator_name, read_settings, run
from hub.consent.receipt import terms_digest, verify_receipt
from hub.consent.record import SIGNING_KEY, key_of, public_jwk
from hub.core.errors import InputError
from hub.flows.consent.register_endpoint import Endpoint, register_endpoint
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Consent receipts and the key that verifies them.", no_args_is_help=True)


@app.callback()
def _consent() -> None:
    """Consent receipts and the key that verifies them."""


@app.command("key")
def key_command() -> None:
    """Print the public key (a JWK) with which receipts and notices of this hub are verified."""
    keys = FileKeys(read_settings().keys_folder)
    print(json.dumps(public_jwk(keys.signing_key(SIGNING_KEY).public_key()), sort_keys=True))


@app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="The receipt.")],
    key: Annotated[Path | None, typer.Option(help="The hub's public key, as `hub consent key` prints it.")] = None,
) -> None:
    """Verify a consent receipt; needs no database and no hub. Exit code 1: changed, or not the hub's.

    Without --key the key in the file is used: then compare its thumbprint with the one that the hub publishes.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"the receipt {file} cannot be read.", remedy="Give a receipt as it was downloaded.") from None
    found = verify_receipt(text, None if key is None else _read_key(key))
    terms = found.terms
    told = {
        "genuine": True,
        "key": found.key_thumbprint,
        "keyFrom": "receipt" if found.key_is_own else "file",
        "consentId": terms["consentId"],
        "termsDigest": terms_digest(found),
        "recipient": terms["recipient"],
        "purpose": terms["purpose"],
        "parts": terms["parts"],
        "expiresAt": terms["expiresAt"],
        "state": found.state,
        "issuedAt": found.issued_at,
    }
    print(json.dumps(told, ensure_ascii=False))


@app.command("endpoint")
def endpoint_command(
    recipient: Annotated[str, typer.Argument(help="Id of the organisation, or name of the source.")],
    url: Annotated[str | None, typer.Argument(help="Its https address; without one the endpoint is closed.")] = None,
    local: Annotated[bool, typer.Option("--local", help="The address is this machine itself (sandbox).")] = False,
) -> None:
    """Register where an organisation or source is told of changes; recorded in the audit log."""

    async def work() -> None:
        settings = read_settings()
        database = await open_database(settings)
        connection = await database.connect(DbRole.OWNER)
        try:
            async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
                endpoint = Endpoint(recipient, url, local)
                receipt = await register_endpoint(connection, receipts, endpoint, operator=operator_name())
        finally:
            await connection.close()
        print(json.dumps({"recipient": recipient, "url": url, "receipt": receipt.as_json()}))

    run(work())


def _read_key(path: Path) -> Ed25519PublicKey:
    try:
        return key_of(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError):
        raise InputError(
            f"the key file {path} holds no public key of a hub.", remedy="See `hub consent key`."
        ) from None
