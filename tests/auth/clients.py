"""A registered client and its assertions, made with joserfc as a bank would make them."""

import hashlib
import json
import time
import uuid
import warnings
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import urlencode

from joserfc import jws, jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey

ISSUER = "http://127.0.0.1:8000"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def new_key(algorithm: str) -> Any:
    if algorithm.startswith("ES"):
        return ECKey.generate_key("P-256")
    if algorithm in ("PS256", "RS256"):
        return RSAKey.generate_key(2048)
    return OKPKey.generate_key("Ed25519")


def jwks(*keys: Any) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def claims(client_id: str, **changes: Any) -> dict[str, Any]:
    now = int(time.time())
    full = {"iss": client_id, "sub": client_id, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": uuid.uuid4().hex}
    return {name: value for name, value in (full | changes).items() if value is not None}


def assertion(key: Any, body: dict[str, Any], algorithm: str = "ES256", **header: Any) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jwt.encode({"alg": algorithm, **header}, body, key, algorithms=[algorithm])


def raw_assertion(key: Any, body: dict[str, Any]) -> str:
    """An assertion whose claims are written as JSON with escapes, which can carry more than text."""
    return jws.serialize_compact({"alg": "ES256"}, json.dumps(body).encode(), key, algorithms=["ES256"])


def form(signed: str, **changes: str | None) -> bytes:
    full = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed,
    }
    return urlencode({name: value for name, value in (full | changes).items() if value is not None}).encode()


FORM = {"content-type": "application/x-www-form-urlencoded"}


def proof(
    key: Any, url: str, nonce: str | None = None, *, token: str | None = None, algorithm: str = "ES256",
    header: dict[str, Any] | None = None, **changes: Any,
) -> str:  # fmt: skip
    """A DPoP proof as a client makes it; ``changes`` and ``header`` replace parts of it, ``None`` leaves one out."""
    body: dict[str, Any] = {"jti": uuid.uuid4().hex, "htm": "POST", "htu": url, "iat": int(time.time()), "nonce": nonce}
    if token is not None:
        body["ath"] = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
    head = {"alg": algorithm, "typ": "dpop+jwt", "jwk": key.as_dict(private=False)} | (header or {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return jws.serialize_compact(
            {name: value for name, value in head.items() if value is not None},
            json.dumps({name: value for name, value in (body | changes).items() if value is not None}).encode(),
            key,
            registry=jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False),
        )
