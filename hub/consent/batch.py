"""Batches of a collector's device: what a device signs, how it is read, and what is refused at the door.

A batch is a compact JWS (RFC 7515, ES256 or Ed25519) over canonical JSON (hub/core/canonical.py). Its slips form a
chain: each has the next counter and the SHA-256 of the slip before it. docs/CAPTURE.md has a worked example,
``docs/consent-batch.schema.json`` the JSON Schema.
"""

import hashlib
import json
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import msgspec
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey
from msgspec import Meta, Struct

from hub.consent.evidence import EvidenceKind, MediaType
from hub.core.canonical import canonical_bytes
from hub.core.errors import HubError, InputError, RefusedError
from hub.core.names import Purpose
from hub.core.text import is_plain_text

BATCH_TYPE = "credit-consent-batch"
"""``typ`` of the JWS, so that a signature for something else is never taken for one."""

ALGORITHMS = ("ES256", "Ed25519")
BATCH_MAX = 120_000
"""Characters of a batch; fifty slips have half of it."""

SLIPS_MAX = 50
FIRST_PREVIOUS = "0" * 64
"""What stands for the slip before the first one of a device."""

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
_INSTANT = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\.[0-9]{3})?[+-][01][0-9]:[0-5][0-9]"
_Instant = Annotated[str, Meta(pattern=f"^{_INSTANT}$")]
_Counter = Annotated[int, Meta(ge=1, lt=2**53)]
_Reference = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,64}$")]


class Method(StrEnum):
    """How the person signed."""

    PAPER = "PAPER"
    SCREEN = "SCREEN"


class _Strict(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Members outside the list are refused, so that nothing comes in unnoticed."""


class Named(_Strict, frozen=True):
    """Somebody, as his identity card has him."""

    id_number: Annotated[str, Meta(pattern="^[0-9]{17}[0-9X]$")]
    name: Annotated[str, Meta(min_length=1, max_length=50)]


class EvidenceItem(_Strict, frozen=True):
    """A picture that is uploaded after the batch, by its hash."""

    kind: EvidenceKind
    media_type: MediaType
    sha256: Hash


class ConsentSlip(_Strict, frozen=True, tag_field="kind", tag="CONSENT"):
    """A person said yes to a request, to these parts, after reading (or hearing) the hub's words for it."""

    counter: _Counter
    previous: Hash
    time: _Instant
    person: Named
    request_id: UUID
    notice_version: _Reference
    notice_hash: Hash
    parts: Annotated[
        list[Annotated[str, Meta(pattern="^[a-z_.]{1,40}/[A-Z_]{1,10}$")]], Meta(min_length=1, max_length=64)
    ]
    heightened_notice: bool
    read_aloud: bool
    method: Method
    form_no: _Reference
    witnesses: Annotated[list[Named], Meta(max_length=4)]
    collector_witness: bool
    evidence: Annotated[list[EvidenceItem], Meta(max_length=4)]


class WithdrawalSlip(_Strict, frozen=True, tag_field="kind", tag="WITHDRAWAL"):
    """A person took back what he gave to one recipient (``null``: to all) for one purpose (``null``: for all)."""

    counter: _Counter
    previous: Hash
    time: _Instant
    person: Named
    recipient: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,64}$")] | None
    purpose: Purpose | None


Slip = ConsentSlip | WithdrawalSlip


class SignedBatch(_Strict, frozen=True):
    """What is signed."""

    version: Annotated[int, Meta(ge=1, le=1)]
    device: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    slips: Annotated[list[Slip], Meta(min_length=1, max_length=SLIPS_MAX)]


class Batch:
    """A batch that was read. Nothing of it may be believed before :meth:`check_signature`."""

    def __init__(self, text: str, content: SignedBatch, hashes: tuple[str, ...]) -> None:
        self.text = text
        self.device = content.device
        self.slips: tuple[Slip, ...] = tuple(content.slips)
        self.hashes = hashes

    @property
    def digest(self) -> bytes:
        """SHA-256 of the batch as it came."""
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def detached(self) -> str:
        """The JWS without its content, as the record of a consent keeps it."""
        protected, _, signature = self.text.split(".")
        return f"{protected}..{signature}"

    def check_signature(self, jwk: dict[str, Any]) -> None:
        """Raise :class:`RefusedError` (BATCH_SIGNATURE) unless the device's key signed this very text."""
        key = device_key(jwk)
        algorithm = "ES256" if isinstance(key, ECKey) else "Ed25519"
        try:
            header = jws.extract_compact(self.text.encode()).headers()
            if header != {"alg": algorithm, "kid": key.thumbprint(), "typ": BATCH_TYPE}:
                raise ValueError("another header")
            jws.deserialize_compact(self.text, key, algorithms=[algorithm])
        except (JoseError, ValueError, TypeError):
            raise RefusedError(
                "The batch is not signed by the key of this device.",
                remedy="Sign it again with the registered key; nothing was taken.",
                code="BATCH_SIGNATURE",
            ) from None


def read_batch(text: str) -> Batch:
    """The batch behind a compact JWS.

    Raises :class:`InputError`: BATCH_MALFORMED with the place of what is wrong, FINGERPRINT_REFUSED where something is
    announced that can only be a fingerprint, a face or the like (征信业管理条例 art. 14(1)). No value is repeated.
    """
    if len(text) > BATCH_MAX or not text.isascii():
        raise malformed("it is too long or no compact JWS")
    try:
        payload = jws.extract_compact(text.encode()).payload
        raw = json.loads(payload)
        if canonical_bytes(raw) != payload:
            raise malformed("its content is not canonical JSON")
    except (JoseError, ValueError, TypeError, RecursionError):
        raise malformed("its content cannot be read") from None
    refuse_fingerprints(raw)
    try:
        content = msgspec.convert(raw, SignedBatch)
    except msgspec.ValidationError as error:
        _, _, path = str(error).rpartition(" - at `")
        raise malformed(f"`{path.rstrip('`') or '$'}` is not as the schema has it") from None
    for place, slip in enumerate(content.slips):
        _check_slip(slip, place)
    return Batch(text, content, tuple(slip_hash(slip) for slip in raw["slips"]))


def slip_hash(slip: dict[str, Any]) -> str:
    """Hexadecimal SHA-256 of a slip in canonical form: its name in the chain."""
    return hashlib.sha256(canonical_bytes(slip)).hexdigest()


def time_of(slip: Slip) -> datetime:
    """The device's clock when the slip was made."""
    return datetime.fromisoformat(slip.time)


def device_key(jwk: dict[str, Any]) -> ECKey | OKPKey:
    """The public key of a device. Raises :class:`InputError` (DEVICE_KEY) for anything but P-256 and Ed25519."""
    try:
        if "d" in jwk:
            raise ValueError("a private key")
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-256":
            return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
        if jwk.get("kty") == "OKP" and jwk.get("crv") == "Ed25519":
            return OKPKey.import_key({name: jwk[name] for name in ("kty", "crv", "x")})
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        pass
    raise InputError(
        "The device's key is no public key for ES256 or Ed25519.",
        remedy="Give the JWK (RFC 7517) of a P-256 or Ed25519 key; its private half stays in the device.",
        code="DEVICE_KEY",
    )


_FORBIDDEN = re.compile(
    r"finger|thumb|palm|minutia|biometr|iris|retina|faceimage|facial|facetempl|voiceprint|19794|\bwsq\b|wsq$"
    r"|指纹|指印|手印|掌纹|人脸|虹膜|声纹|生物"
)
"""Words that only a member for biometric data has in its name, its kind or its media type."""


def refuse_fingerprints(raw: Any) -> None:
    """Raise :class:`InputError` (FINGERPRINT_REFUSED) where a member, kind or media type speaks of biometric data."""
    waiting = [raw]
    while waiting:
        value = waiting.pop()
        if isinstance(value, list):
            waiting += value
        elif isinstance(value, dict):
            words = [*value, *(str(value[name]) for name in ("kind", "mediaType") if name in value)]
            if any(_FORBIDDEN.search(word.lower().replace("_", "").replace("-", "")) for word in words):
                raise fingerprint_refused()
            waiting += value.values()


def fingerprint_refused() -> HubError:
    """The hub holds no fingerprints, faces or the like, in no form."""
    return InputError(
        "Fingerprints and other biometric data are never taken.",
        remedy="Cover the print on the form and photograph it again; the paper stays where it was signed.",
        code="FINGERPRINT_REFUSED",
    )


def malformed(why: str) -> HubError:
    """The batch cannot be read; nothing of it was taken."""
    return InputError(
        f"The batch is refused: {why}.",
        remedy="See docs/consent-batch.schema.json; nothing was taken, keep the slips on the device.",
        code="BATCH_MALFORMED",
    )


def _check_slip(slip: Slip, place: int) -> None:
    """What a schema cannot say."""
    named = [slip.person, *(slip.witnesses if isinstance(slip, ConsentSlip) else [])]
    try:
        time_of(slip)
    except ValueError:
        raise malformed(f"`$.slips[{place}].time` is no instant") from None
    if not all(is_plain_text(each.name) and each.name.strip() for each in named):
        raise malformed(f"`$.slips[{place}]` has a name that is no plain text")
    if isinstance(slip, ConsentSlip):
        if len({item.sha256 for item in slip.evidence}) != len(slip.evidence):
            raise malformed(f"`$.slips[{place}].evidence` names a picture twice")
        for number, item in enumerate(slip.evidence):
            if not item.kind.takes(item.media_type):
                raise malformed(f"`$.slips[{place}].evidence[{number}].mediaType` does not fit its kind")


def json_schema() -> str:
    """The JSON Schema of what a device signs, for the makers of devices (docs/consent-batch.schema.json)."""
    schema = msgspec.json.schema(SignedBatch)
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Batch of consent slips"} | schema
    return json.dumps(schema, ensure_ascii=False, indent=1) + "\n"
