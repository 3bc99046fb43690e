"""A passkey in software: what a phone or a security key does, written from WebAuthn level 3 and CTAP 2 alone."""

import hashlib
import json
import os
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

PRESENT, VERIFIED, CAN_SYNC, SYNCED, WITH_KEY = 1, 4, 8, 16, 64
ES256, EDDSA, RS256 = -7, -8, -257


def encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


@dataclass
class Authenticator:
    """Holds one discoverable key. Attributes may be changed to make it misbehave."""

    algorithm: int = ES256
    flags: int = PRESENT | VERIFIED
    count: int = 0
    step: int = 1
    credential_id: bytes = field(default_factory=lambda: os.urandom(32))
    handle: bytes = b""

    def __post_init__(self) -> None:
        self.key: Any
        match self.algorithm:
            case -8:
                self.key = ed25519.Ed25519PrivateKey.generate()
            case -257:
                self.key = rsa.generate_private_key(65537, 2048)
            case _:
                self.key = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: dict[str, Any], origin: str, **client_data: Any) -> str:
        """The answer to a request for a new passkey."""
        assert self.algorithm in [each["alg"] for each in options["pubKeyCredParams"]]
        assert self.credential_id not in [decoded(each["id"]) for each in options["excludeCredentials"]]
        self.handle = decoded(options["user"]["id"])
        body = self._client_data("webauthn.create", options["challenge"], origin, client_data)
        held = bytes(16) + struct.pack(">H", len(self.credential_id)) + self.credential_id + self.public_key()
        statement = {
            "fmt": "none",
            "attStmt": {},
            "authData": self._data(options["rp"]["id"], self.flags | WITH_KEY) + held,
        }
        return self._answer(clientDataJSON=body, attestationObject=cbor2.dumps(statement))

    def get(self, options: dict[str, Any], origin: str, rp_id: str | None = None, **client_data: Any) -> str:
        """The answer to a request to sign in."""
        self.count += self.step
        body = self._client_data("webauthn.get", options["challenge"], origin, client_data)
        data = self._data(rp_id or options["rpId"], self.flags)
        signature = self._sign(data + hashlib.sha256(body).digest())
        return self._answer(clientDataJSON=body, authenticatorData=data, signature=signature, userHandle=self.handle)

    def public_key(self) -> bytes:
        """The public key in COSE (RFC 9052)."""
        public = self.key.public_key()
        if self.algorithm == EDDSA:
            return cbor2.dumps({1: 1, 3: EDDSA, -1: 6, -2: public.public_bytes_raw()})
        numbers = public.public_numbers()
        if self.algorithm == RS256:
            return cbor2.dumps({1: 3, 3: RS256, -1: _number(numbers.n), -2: _number(numbers.e)})
        return cbor2.dumps(
            {1: 2, 3: ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}
        )

    def _sign(self, text: bytes) -> bytes:
        if self.algorithm == EDDSA:
            return self.key.sign(text)  # type: ignore[no-any-return]
        if self.algorithm == RS256:
            return self.key.sign(text, padding.PKCS1v15(), hashes.SHA256())  # type: ignore[no-any-return]
        return self.key.sign(text, ec.ECDSA(hashes.SHA256()))  # type: ignore[no-any-return]

    def _data(self, rp_id: str, flags: int) -> bytes:
        return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, self.count)

    def _client_data(self, kind: str, challenge: str, origin: str, changes: dict[str, Any]) -> bytes:
        full = {"type": kind, "challenge": challenge, "origin": origin, "crossOrigin": False}
        return json.dumps(full | changes).encode()

    def _answer(self, **response: bytes) -> str:
        return json.dumps(
            {
                "id": encoded(self.credential_id),
                "rawId": encoded(self.credential_id),
                "type": "public-key",
                "response": {name: encoded(raw) for name, raw in response.items()},
                "clientExtensionResults": {},
            }
        )
