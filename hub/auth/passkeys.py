"""Passkeys (WebAuthn level 3): challenges, and the checks of what an authenticator answers.

The library ``webauthn`` checks signature, challenge, origin, relying party, presence and verification of the user, and
the counter. Added here: challenges that need no memory until they are answered (a text under a keyed hash, bound to the
browser, good for five minutes), no answer from within a frame of another site, and the user handle. That a challenge is
answered once is decided by the database, in the statement that begins the session.

Attestation is not asked for: which maker's device somebody uses is none of the hub's business.
"""

import hmac
import ipaddress
import json
import secrets
import warnings
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import webauthn
from webauthn.helpers import options_to_json
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from hub.core.clock import SHANGHAI, Clock
from hub.core.errors import RefusedError
from hub.flows.people.begin_session import NewPasskey, PasskeyProof
from hub.store.keys import KeyService

ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
"""What passkeys may sign with; RS256 for the sake of Windows Hello."""

CHALLENGE_LIFETIME = timedelta(minutes=5)
"""How long an answer may take."""

_CHALLENGE_BYTES = 32
_RESPONSE_MAX = 32 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A challenge of the hub's own: what the authenticator signs, and until when."""

    challenge: bytes
    expires_at: datetime


class PasskeyRefusedError(RefusedError):
    """The answer cannot be accepted; why is not told."""

    code = "PASSKEY_REFUSED"

    def __init__(self) -> None:
        super().__init__("the passkey's answer cannot be accepted.", remedy="Try again from the start.")


class Passkeys:
    """The relying party: this hub under its public address."""

    def __init__(self, public_url: str, keys: KeyService, clock: Clock) -> None:
        address = urlsplit(public_url)
        self._host = address.hostname or ""
        self._origin = f"{address.scheme}://{address.netloc}"
        self._keys = keys
        self._clock = clock

    @property
    def are_possible(self) -> bool:
        """Browsers know passkeys of names only, not of bare addresses such as 127.0.0.1."""
        try:
            ipaddress.ip_address(self._host)
        except ValueError:
            return True
        return False

    def ticket(self, use: str, visit: str) -> str:
        """A fresh challenge as a text for a form. It is good for one use, in the browser of ``visit``."""
        challenge = _text(secrets.token_bytes(_CHALLENGE_BYTES))
        expires = int((self._clock() + CHALLENGE_LIFETIME).timestamp())
        seal = self._keys.index("challenge", f"{use}|{visit}|{challenge}|{expires}")
        return f"{challenge}.{expires}.{_text(seal)}"

    def read_ticket(self, ticket: str, use: str, visit: str) -> Asked:
        """The challenge of a ticket of ours. Raises :class:`PasskeyRefusedError` for any other, and for an old one."""
        try:
            challenge, expires, seal = ticket.split(".")
            good = [
                hmac.compare_digest(_text(each).encode(), seal.encode())
                for each in self._keys.indexes("challenge", f"{use}|{visit}|{challenge}|{expires}")
            ]
            if True not in good or self._clock().timestamp() > int(expires):
                raise PasskeyRefusedError
            return Asked(_bytes(challenge), datetime.fromtimestamp(int(expires), SHANGHAI))
        except ValueError:
            raise PasskeyRefusedError from None

    def request_options(self, ticket: str) -> str:
        """What the browser asks any passkey of this hub, as JSON."""
        options = webauthn.generate_authentication_options(
            rp_id=self._host,
            challenge=_challenge_of(ticket),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    def creation_options(self, ticket: str, account_id: str, handle: UUID, known: list[bytes]) -> str:
        """What the browser asks for a new passkey, as JSON; ``known``: the account's other passkeys."""
        options = webauthn.generate_registration_options(
            rp_id=self._host,
            rp_name="Credit Hub",
            user_id=handle.bytes,
            user_name=account_id,
            challenge=_challenge_of(ticket),
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=[PublicKeyCredentialDescriptor(id=each) for each in known],
            supported_pub_key_algs=ALGORITHMS,
        )
        return options_to_json(options)

    def created(self, answer: str, asked: Asked) -> NewPasskey:
        """The new passkey of an answer to :meth:`creation_options`. Raises :class:`PasskeyRefusedError`."""
        credential = _read(answer)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = webauthn.verify_registration_response(
                    credential=credential,
                    expected_challenge=asked.challenge,
                    expected_rp_id=self._host,
                    expected_origin=self._origin,
                    require_user_verification=True,
                    supported_pub_key_algs=ALGORITHMS,
                )
        except (WebAuthnException, ValueError, TypeError, KeyError, IndexError):
            raise PasskeyRefusedError from None
        synced = found.credential_device_type is CredentialDeviceType.MULTI_DEVICE
        return NewPasskey(found.credential_id, found.credential_public_key, found.sign_count, synced)

    def credential_id(self, answer: str) -> bytes:
        """Which passkey says that it answered. Raises :class:`PasskeyRefusedError`."""
        raw = _read(answer).get("rawId")
        if not isinstance(raw, str):
            raise PasskeyRefusedError
        try:
            return _bytes(raw)
        except ValueError:
            raise PasskeyRefusedError from None

    def answered(self, answer: str, asked: Asked, passkey: Mapping[str, Any] | None) -> PasskeyProof:
        """The proof that a passkey answered; ``passkey`` is its row of ``auth.find_passkey``.

        The counter is judged by the database, in the statement that stores it. Raises :class:`PasskeyRefusedError`.
        """
        credential = _read(answer)
        if passkey is None:
            raise PasskeyRefusedError
        handle = credential["response"].get("userHandle")
        try:
            if not isinstance(handle, str) or not hmac.compare_digest(_bytes(handle), passkey["handle"].bytes):
                raise PasskeyRefusedError
            found = webauthn.verify_authentication_response(
                credential=credential,
                expected_challenge=asked.challenge,
                expected_rp_id=self._host,
                expected_origin=self._origin,
                credential_public_key=passkey["public_key"],
                credential_current_sign_count=0,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError, IndexError):
            raise PasskeyRefusedError from None
        return PasskeyProof(
            passkey["account_id"], found.credential_id, found.new_sign_count, asked.challenge, asked.expires_at
        )


def _read(answer: str) -> dict[str, Any]:
    """The JSON of an answer (RegistrationResponseJSON, AuthenticationResponseJSON), given on this hub's own page."""
    if len(answer) > _RESPONSE_MAX:
        raise PasskeyRefusedError
    try:
        credential = json.loads(answer)
        client_data = json.loads(_bytes(credential["response"]["clientDataJSON"]))
        if client_data.get("crossOrigin", False) is not False:
            raise PasskeyRefusedError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise PasskeyRefusedError from None
    return dict(credential)


def _challenge_of(ticket: str) -> bytes:
    return _bytes(ticket.partition(".")[0])


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
