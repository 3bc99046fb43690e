"""The pages' script, run by Node: what it asks an authenticator for, and how it writes the answer down."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from hub.auth.passkeys import Passkeys
from hub.core.clock import system_clock
from hub.store.keys import FileKeys

from .authenticator import decoded

HERE = Path(__file__).parent
SCRIPT = HERE.parents[1] / "hub/auth/pages/sign_in.js"
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(NODE is None, reason="Node is needed to run the pages' script")


def run(use: str, options: str, answer: dict[str, object]) -> dict[str, dict[str, object]]:
    assert NODE is not None
    done = subprocess.run(
        [NODE, str(HERE / "browser_stub.js"), str(SCRIPT), use, options, json.dumps(answer)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told: dict[str, dict[str, object]] = json.loads(done.stdout)
    return told


def test_a_passkey_is_asked_for_and_its_answer_written(keys: FileKeys) -> None:
    passkeys = Passkeys("http://localhost:8000", keys, system_clock)
    ticket = passkeys.ticket("get", "visit")
    parts = {name: os.urandom(65 + length) for length, name in enumerate(
        ("clientDataJSON", "authenticatorData", "signature", "userHandle"))}  # fmt: skip
    raw_id = os.urandom(33)
    told = run(
        "get", passkeys.request_options(ticket),
        {"rawId": raw_id.hex(), "response": {name: raw.hex() for name, raw in parts.items()}},
    )  # fmt: skip
    asked, sent = told["asked"], told["sent"]
    assert (asked["rpId"], asked["userVerification"], asked["known"]) == ("localhost", "required", [])
    assert asked["challenge"] == passkeys.read_ticket(ticket, "get", "visit").challenge.hex()
    response = sent["response"]
    assert isinstance(response, dict)
    assert {name: decoded(text) for name, text in response.items()} == parts
    assert (decoded(str(sent["rawId"])), sent["type"]) == (raw_id, "public-key")


def test_a_new_passkey_is_asked_for_with_what_is_known_left_out(keys: FileKeys) -> None:
    passkeys = Passkeys("https://hub.example", keys, system_clock)
    ticket, handle, known = passkeys.ticket("create|1", "visit"), uuid4(), os.urandom(40)
    parts = {"clientDataJSON": os.urandom(70), "attestationObject": os.urandom(300)}
    told = run(
        "create", passkeys.creation_options(ticket, "steward-1", handle, [known]),
        {"rawId": "ff", "response": {name: raw.hex() for name, raw in parts.items()}},
    )  # fmt: skip
    asked, sent = told["asked"], told["sent"]
    assert asked["user"] == {"id": handle.hex, "name": "steward-1", "displayName": "steward-1"}
    assert asked["known"] == [known.hex()]
    assert asked["rp"] == {"name": "Credit Hub", "id": "hub.example"}
    selection = asked["authenticatorSelection"]
    assert isinstance(selection, dict)
    assert (selection["residentKey"], selection["userVerification"]) == ("required", "required")
    assert asked["attestation"] == "none"
    response = sent["response"]
    assert isinstance(response, dict)
    assert {name: decoded(text) for name, text in response.items()} == parts
