"""A signed answer that a shop can check without the hub: an SD-JWT (RFC 9901), short-lived, bound to its holder's key.

It says the programme, the answer and the period; the provider's own id of the person can be left out by whoever
presents it. Where it is bound to a key (``cnf``), it proves something only together with a fresh signature of that key
over the audience and nonce of whoever asks.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from hub.benefits.programme import Answer
from hub.core.errors import InputError, RefusedError
from hub.store.keys import KeyService

SIGNING_KEY = "eligibility"
"""Name of the key in the key service."""

ISSUER = "credit-hub"
TYPE = "credit-eligibility+sd-jwt"
"""The ``typ`` of its header: nothing else that the hub signs can be taken for an answer."""

LIFE = timedelta(hours=24)
"""How long a signed answer holds; as long as a provider may keep an answer at all."""

FRESH = timedelta(minutes=5)
"""How old the holder's signature may be."""

_ALGORITHM = "EdDSA"
_MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError, JWException)


@dataclass(frozen=True, slots=True)
class SignedAnswer:
    """What a good signed answer proves. ``subject`` is ``None`` where it was left out.

    ``is_bound``: it belongs to a holder, who showed just now that it is his.
    """

    programme: str
    version: int
    period: str
    answer: Answer
    provider: str
    subject: str | None
    expires_at: datetime
    is_bound: bool


def holder_key_of(text: str) -> dict[str, str]:
    """The public P-256 key of a holder, as a JWK in JSON. Raises :class:`InputError`."""
    try:
        found = json.loads(text)
        key = {name: str(found[name]) for name in ("kty", "crv", "x", "y")}
        if (key["kty"], key["crv"]) != ("EC", "P-256") or "d" in found:
            raise ValueError("no public P-256 key")
        JWK(**key).get_op_key("verify")  # refuses what is no point of the curve
    except _MALFORMED:
        raise InputError("The holder's key is no public P-256 key (JWK).", code="HOLDER_KEY_MALFORMED") from None
    return key


def thumbprint_of(holder: dict[str, str]) -> str:
    """The thumbprint of a holder's key (RFC 7638): what the log keeps of it."""
    return str(JWK(**holder).thumbprint())


def sign_answer(
    keys: KeyService,
    *,
    programme: str,
    version: int,
    period: str,
    answer: Answer,
    provider: str,
    subject: str,
    until: datetime,
    holder: dict[str, str] | None,
    now: datetime,
) -> str:
    """The answer, signed; it holds 24 hours and no longer than the answer itself (``until``)."""
    key = JWK.from_pyca(keys.signing_key(SIGNING_KEY))
    claims: dict[Any, Any] = {
        "iss": ISSUER,
        "iat": int(now.timestamp()),
        "exp": int(min(now + LIFE, until).timestamp()),
        "aud": provider,
        "programme": programme,
        "version": version,
        "period": period,
        "answer": answer.value,
        SDObj("sub"): subject,
    }
    issued = SDJWTIssuer(
        claims,
        key,
        None if holder is None else JWK(**holder),
        _ALGORITHM,
        extra_header_parameters={"typ": TYPE, "kid": key.thumbprint()},
    )
    return str(issued.sd_jwt_issuance)


def public_key(keys: KeyService) -> dict[str, str]:
    """The key that verifies signed answers, as a JWK."""
    key = JWK.from_pyca(keys.signing_key(SIGNING_KEY).public_key())
    return {**key.export_public(as_dict=True), "kid": key.thumbprint()}


def verify_answer(
    text: str, jwk: dict[str, Any], now: datetime, *, audience: str | None = None, nonce: str | None = None
) -> SignedAnswer:
    """Verify a signed answer with the hub's key and nothing else. ``audience`` and ``nonce`` are what the holder was
    asked to sign, if he was.

    Raises :class:`InputError` for a key that is none, :class:`RefusedError` where the text proves nothing: changed, of
    another key, over, or bound to a holder who did not sign.
    """
    try:
        key = JWK(kty="OKP", crv="Ed25519", x=str(jwk["x"]))
    except _MALFORMED:
        raise InputError("The key is no public key of a hub.", remedy="See `hub eligibility key`.") from None
    expected = {"alg": _ALGORITHM, "typ": TYPE, "kid": key.thumbprint()}

    def issuer_key(_: object, header: dict[str, Any]) -> JWK:
        if header != expected:
            raise ValueError("another key, kind or algorithm")
        return key

    try:
        found = SDJWTVerifier(text, issuer_key, audience, nonce).get_verified_payload()
        answer = SignedAnswer(
            found["programme"],
            found["version"],
            found["period"],
            Answer(found["answer"]),
            found["aud"],
            found.get("sub"),
            datetime.fromtimestamp(found["exp"], UTC),
            "cnf" in found,
        )
        shown, last = text.split("~")[1:-1], text.rpartition("~")[2]
        if len(shown) > ("sub" in found) or (last and not answer.is_bound):
            raise ValueError("parts that belong to nothing")
        good = found["iss"] == ISSUER and found["iat"] <= (now + FRESH).timestamp() and now < answer.expires_at
    except _MALFORMED:
        raise RefusedError(
            "This is no signed answer of this key, or it was changed, or its holder did not sign for it.",
            code="ANSWER_FALSE",
        ) from None
    if not good:
        raise RefusedError("The signed answer is over.", remedy="Ask the provider for a new one.", code="ANSWER_OVER")
    if answer.is_bound and (audience is None or not _is_fresh(text, now)):
        raise RefusedError(
            "The signed answer belongs to a holder, who did not show just now that it is his.",
            remedy="Give him an audience and a nonce to sign, and pass both on.",
            code="ANSWER_NOT_SHOWN",
        )
    return answer


def _is_fresh(text: str, now: datetime) -> bool:
    """Whether the holder's signature, which was verified, is of this moment."""
    try:
        shown = json.loads(SDJWTVerifier._base64url_decode(text.rpartition("~")[2].split(".")[1]))
        return bool(abs(now.timestamp() - shown["iat"]) <= FRESH.total_seconds())
    except _MALFORMED:
        return False
