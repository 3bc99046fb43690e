"""A collector's device as a maker of devices would write it: a key, a counter, and a chain of signed slips.

It stands for the real one in the sandbox and the tests, and shows the whole of what docs/CAPTURE.md asks of a device.
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey

from hub.core.canonical import canonical_bytes
from hub.core.clock import Clock, iso, system_clock

_TYPE = "credit-consent-batch"


class FieldDevice:
    """One device: :meth:`consent` and :meth:`withdrawal` make slips, :meth:`batch` signs those not delivered yet."""

    def __init__(self, device_id: str, key: ECKey | OKPKey | None = None, clock: Clock = system_clock) -> None:
        self.device_id = device_id
        self.key = key or ECKey.generate_key("P-256")
        self.clock = clock
        self.counter = 0
        self.previous = "0" * 64
        self.waiting: list[dict[str, Any]] = []

    @property
    def jwk(self) -> dict[str, Any]:
        """The public key, as it is registered with the hub."""
        return dict(self.key.as_dict(private=False))

    def consent(
        self,
        person: tuple[str, str],
        request_id: str,
        notice: tuple[str, str],
        parts: list[str],
        *,
        witnesses: list[tuple[str, str]],
        evidence: list[dict[str, str]],
        form_no: str,
        method: str = "PAPER",
        at: datetime | None = None,
        heightened_notice: bool = False,
        read_aloud: bool = False,
        collector_witness: bool = True,
    ) -> dict[str, Any]:
        """Note a yes. People are (ID number, name), ``notice`` is (version, hash) as the hub gave it with the form."""
        return self._note(
            at,
            {
                "kind": "CONSENT",
                "person": _named(person),
                "requestId": request_id,
                "noticeVersion": notice[0],
                "noticeHash": notice[1],
                "parts": parts,
                "heightenedNotice": heightened_notice,
                "readAloud": read_aloud,
                "method": method,
                "formNo": form_no,
                "witnesses": [_named(witness) for witness in witnesses],
                "collectorWitness": collector_witness,
                "evidence": evidence,
            },
        )

    def withdrawal(
        self,
        person: tuple[str, str],
        recipient: str | None = None,
        purpose: str | None = None,
        *,
        at: datetime | None = None,
    ) -> dict[str, Any]:
        """Note that a person takes back what he gave to a recipient (default: to everybody)."""
        return self._note(
            at, {"kind": "WITHDRAWAL", "person": _named(person), "recipient": recipient, "purpose": purpose}
        )

    def batch(self) -> str:
        """The signed batch of everything that waits. It waits until :meth:`delivered`."""
        return self.sign({"version": 1, "device": self.device_id, "slips": self.waiting})

    def delivered(self) -> None:
        """The hub has answered: nothing waits any more."""
        self.waiting = []

    def sign(self, content: dict[str, Any]) -> str:
        """The compact JWS over any content, in canonical form."""
        algorithm = "ES256" if isinstance(self.key, ECKey) else "Ed25519"
        header = {"alg": algorithm, "kid": self.key.thumbprint(), "typ": _TYPE}
        return jws.serialize_compact(header, canonical_bytes(content), self.key, algorithms=[algorithm])

    def _note(self, at: datetime | None, members: dict[str, Any]) -> dict[str, Any]:
        self.counter += 1
        slip = {"counter": self.counter, "previous": self.previous, "time": iso(at or self.clock())} | members
        self.previous = hashlib.sha256(canonical_bytes(slip)).hexdigest()
        self.waiting.append(slip)
        return slip


def picture_of(content: bytes, kind: str = "MASKED_FORM_PHOTO", media_type: str = "image/png") -> dict[str, str]:
    """How a slip announces a picture."""
    return {"kind": kind, "mediaType": media_type, "sha256": hashlib.sha256(content).hexdigest()}


def content_of(batch: str) -> dict[str, Any]:
    """What a batch says, unverified."""
    found: dict[str, Any] = json.loads(jws.extract_compact(batch.encode()).payload)
    return found


def _named(person: tuple[str, str]) -> dict[str, str]:
    return {"idNumber": person[0], "name": person[1]}
