"""``hub eligibility``: signed answers of benefit programmes, checked without database and hub."""

import json
from pathlib import Path
from typing import Annotated

import typer

from hub.benefits.signed_answer import public_key, verify_answer
from hub.cli.session import read_settings
from hub.core.clock import iso, system_clock
from hub.core.errors import InputError
from hub.store.keys import FileKeys

app = typer.Typer(help="Signed answers of benefit programmes.", no_args_is_help=True)


@app.callback()
def _eligibility() -> None:
    """Signed answers of benefit programmes."""


@app.command("key")
def key_command() -> None:
    """Print the public key (a JWK) with which signed answers of this hub are verified."""
    print(json.dumps(public_key(FileKeys(read_settings().keys_folder)), sort_keys=True))


@app.command("verify")
def verify_command(
    file: Annotated[Path, typer.Argument(help="The signed answer, as it was shown.")],
    key: Annotated[Path, typer.Option(help="The hub's public key, as `hub eligibility key` prints it.")],
    audience: Annotated[str | None, typer.Option(help="Whom the holder was asked to sign for.")] = None,
    nonce: Annotated[str | None, typer.Option(help="The word he was given to sign.")] = None,
) -> None:
    """Verify a signed answer; needs no database and no hub. Exit code 1: it proves nothing.

    An answer that belongs to a holder needs --audience and --nonce, which he signed just now.
    """
    try:
        text, jwk = file.read_text(encoding="ascii").strip(), json.loads(key.read_text(encoding="ascii"))
    except (OSError, ValueError):
        raise InputError("the answer or the key cannot be read.", remedy="Give both files as they were got.") from None
    found = verify_answer(text, jwk, system_clock(), audience=audience, nonce=nonce)
    told = {
        "programme": found.programme,
        "version": found.version,
        "period": found.period,
        "answer": found.answer.value,
        "provider": found.provider,
        "subject": found.subject,
        "expiresAt": iso(found.expires_at),
        "shownByHolder": found.is_bound,
    }
    print(json.dumps(told, ensure_ascii=False))
