"""What tokens and proofs cost the hub itself, outside the database: CPU of one thread, one after the other."""

import hashlib
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bench.rounds import Variant
from hub.auth.dpop import Nonces, ProofChecker
from hub.auth.tokens import Holder, TokenIssuer, TokenVerifier
from hub.core.clock import system_clock
from hub.store.keys import FileKeys

_HUB = "https://hub.example"
_PROOFS = 400
_KEYS: dict[str, Any] = {
    "ES256": partial(ECKey.generate_key, "P-256"),
    "PS256": partial(RSAKey.generate_key, 2048),
    "Ed25519": partial(OKPKey.generate_key, "Ed25519"),
}


@contextmanager
def variants() -> Iterator[list[Variant]]:
    """Checks of proofs by algorithm, and of a bound token that was seen before; ``server_ms`` is one check."""
    with tempfile.TemporaryDirectory() as folder:
        yield _variants(FileKeys(Path(folder) / "keys"))


def _variants(keys: FileKeys) -> list[Variant]:
    issuer = TokenIssuer(_HUB, keys.signing_key("tokens"), system_clock)
    verifier, nonces = TokenVerifier.of(issuer), Nonces(keys, system_clock)
    checker = ProofChecker(_HUB, nonces, system_clock)

    async def check_proofs(algorithm: str) -> dict[str, float]:
        key = _KEYS[algorithm]()
        token = issuer.issue(Holder("bank", "bank", key.thumbprint())).token
        made = [_proof(key, algorithm, token, nonces.current()) for _ in range(_PROOFS)]
        began = time.thread_time()
        for text in made:
            checker.check((text,), method="POST", path="/graphql", token=token)
        return _per(time.thread_time() - began)

    async def check_token() -> dict[str, float]:
        token = issuer.issue(Holder("bank", "bank", "thumbprint")).token
        verifier.verify(token, "thumbprint")
        began = time.thread_time()
        for _ in range(_PROOFS):
            verifier.verify(token, "thumbprint")
        return _per(time.thread_time() - began)

    return [
        *(
            Variant(f"DPoP proof, {algorithm}", "checks/s", partial(check_proofs, algorithm), "key known, proof new")
            for algorithm in _KEYS
        ),
        Variant("bound token, seen before", "checks/s", check_token, "by its hash"),
    ]


def _proof(key: Any, algorithm: str, token: str, nonce: str) -> str:
    digest = urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).decode().rstrip("=")
    claims = {
        "jti": uuid4().hex, "htm": "POST", "htu": f"{_HUB}/graphql", "iat": int(time.time()), "ath": digest,
        "nonce": nonce,
    }  # fmt: skip
    header = {"alg": algorithm, "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, claims, key, algorithms=[algorithm])


def _per(seconds: float) -> dict[str, float]:
    return {"rate": _PROOFS / seconds, "server_ms": seconds / _PROOFS * 1e3}
