"""Proofs of possession: which are good, and each thing that can be wrong with one (RFC 9449 section 4.3)."""

import json
import time
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, RSAKey

from hub.auth.dpop import (
    AGE_MAX_SECONDS,
    AHEAD_MAX_SECONDS,
    NONCE_SECONDS,
    InvalidProofError,
    NonceNeededError,
    Nonces,
    ProofChecker,
)
from hub.core.clock import SHANGHAI
from hub.store.keys import FileKeys

from .clients import new_key, proof

HUB = "https://hub.example"
URL = HUB + "/graphql"
TOKEN = "the.access.token"


class Here:
    """A checker at an instant, and a client's key."""

    def __init__(self, keys: FileKeys) -> None:
        self.now = int(time.time())
        self.key = new_key("ES256")
        self.nonces = Nonces(keys, self.clock)
        self.checker = ProofChecker(HUB, self.nonces, self.clock)

    def clock(self) -> datetime:
        return datetime.fromtimestamp(self.now, SHANGHAI)

    def proof(self, **changes: Any) -> str:
        full: dict[str, Any] = {"iat": self.now} | changes
        url, nonce = full.pop("url", URL), full.pop("nonce", self.nonces.current())
        return proof(full.pop("key", self.key), url, nonce, token=full.pop("token", TOKEN), **full)

    def check(self, *proofs: str) -> Any:
        return self.checker.check(proofs, method="POST", path="/graphql", token=TOKEN)


@pytest.fixture
def here(keys: FileKeys) -> Here:
    return Here(keys)


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "EdDSA", "Ed25519"])
def test_a_good_proof_names_its_key(here: Here, algorithm: str) -> None:
    key = new_key(algorithm)
    found = here.check(here.proof(key=key, algorithm=algorithm))
    assert found.key == key.thumbprint()
    assert len(found.digest) == 32
    assert found.until.timestamp() >= here.now + AGE_MAX_SECONDS + AHEAD_MAX_SECONDS


@pytest.mark.parametrize(
    "url",
    [URL, "HTTPS://HUB.example/graphql", "https://hub.example:443/graphql", URL + "?q=1", URL + "#x"],
)
def test_addresses_that_are_the_same(here: Here, url: str) -> None:
    here.check(here.proof(url=url))


BAD_CLAIMS: list[dict[str, Any]] = [
    {"htm": "GET"}, {"htm": "post"}, {"htm": None},
    {"url": HUB + "/oauth2/token"}, {"url": "http://hub.example/graphql"}, {"url": "https://hub.example:444/graphql"},
    {"url": "https://evil.example/graphql"}, {"url": "https://u:p@hub.example/graphql"}, {"url": URL + "/"},
    {"url": "https://hub.example/GRAPHQL"}, {"htu": None}, {"htu": 7}, {"htu": "https://[::1"},
    {"ath": None}, {"ath": "x"}, {"token": "another.access.token"},
    {"jti": None}, {"jti": ""}, {"jti": 7}, {"jti": "x" * 257},
    {"iat": None}, {"iat": "now"}, {"iat": True},
]  # fmt: skip


@pytest.mark.parametrize("changes", BAD_CLAIMS, ids=str)
def test_one_claim_wrong(here: Here, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidProofError) as refusal:
        here.check(here.proof(**changes))
    assert TOKEN not in str(refusal.value)


def test_the_age_of_a_proof(here: Here) -> None:
    for apart in (0, -AGE_MAX_SECONDS, 10, AHEAD_MAX_SECONDS):
        here.check(here.proof(iat=here.now + apart))
    for apart in (-AGE_MAX_SECONDS - 1, AHEAD_MAX_SECONDS + 1, -3600, 3600, float("inf")):
        with pytest.raises(InvalidProofError):
            here.check(here.proof(iat=here.now + apart))


def test_a_nonce_is_asked_for_and_ends(here: Here, keys: FileKeys) -> None:
    for nonce in (None, "", "x", here.nonces.current() + "x", "张三"):
        with pytest.raises(NonceNeededError):
            here.check(here.proof(nonce=nonce))
    old = here.nonces.current()
    here.now += NONCE_SECONDS
    assert here.nonces.current() != old
    here.check(here.proof(nonce=old))
    assert Nonces(keys, here.clock).accepts(old), "another process knows it too"
    here.now += NONCE_SECONDS
    with pytest.raises(NonceNeededError):
        here.check(here.proof(nonce=old))


def _unsigned(header: dict[str, Any], body: dict[str, Any]) -> str:
    packed = [urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (header, body)]
    return ".".join([*packed, ""])


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_headers_that_prove_nothing(here: Here) -> None:
    other, rsa, secret = new_key("ES256"), RSAKey.generate_key(1024), OctKey.generate_key(256)
    public = here.key.as_dict(private=False)
    body = {"jti": "x", "htm": "POST", "htu": URL, "iat": here.now, "nonce": here.nonces.current()}
    for bad in (
        here.proof(header={"typ": "jwt"}),
        here.proof(header={"typ": None}),
        here.proof(header={"jwk": here.key.as_dict(private=True)}),
        here.proof(header={"jwk": None}),
        here.proof(header={"jwk": other.as_dict(private=False)}),
        here.proof(header={"jwk": None, "jku": "https://evil.example/keys"}),
        here.proof(key=rsa, algorithm="PS256"),
        here.proof(key=new_key("RS256"), algorithm="RS256"),
        here.proof(key=ECKey.generate_key("P-384"), algorithm="ES384"),
        here.proof(key=secret, algorithm="HS256", header={"jwk": secret.as_dict(private=True)}),
        here.proof()[:-3],
        _unsigned({"alg": "none", "typ": "dpop+jwt", "jwk": public}, body),
        _unsigned({"alg": ["ES256"], "typ": "dpop+jwt", "jwk": public}, body),
        _unsigned({"alg": "ES256", "typ": "dpop+jwt", "jwk": [public]}, body),
        "x" * 5000,
        "",
        "a.b.c",
        "张三.x.y",
    ):
        with pytest.raises(InvalidProofError):
            here.check(bad)


def test_there_is_exactly_one(here: Here) -> None:
    for proofs in ((), (here.proof(), here.proof())):
        with pytest.raises(InvalidProofError):
            here.check(*proofs)


def test_unknown_claims_and_headers_do_not_matter(here: Here) -> None:
    here.check(here.proof(extra="x", header={"extra": "y"}))
    head = {"alg": "ES256", "typ": "dpop+jwt", "jwk": here.key.as_dict(private=False), "crit": ["x"], "x": 1}
    body = {"jti": "x", "htm": "POST", "htu": URL, "iat": here.now, "nonce": here.nonces.current()}
    text = _unsigned(head, body).rstrip(".")
    r, s = decode_dss_signature(here.key.private_key.sign(text.encode(), ECDSA(SHA256())))
    signature = urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode().rstrip("=")
    with pytest.raises(InvalidProofError):
        here.check(f"{text}.{signature}")


def test_the_same_id_under_another_key_is_another_proof(here: Here) -> None:
    first = here.check(here.proof(jti="the-same"))
    again = here.check(here.proof(jti="the-same"))
    other = here.check(here.proof(jti="the-same", key=new_key("ES256")))
    assert first.digest == again.digest != other.digest


@given(text=st.text(max_size=200))
def test_no_text_breaks_the_check(text: str) -> None:
    checker = ProofChecker(HUB, _NoNonces(), lambda: datetime.now(SHANGHAI))  # type: ignore[arg-type]
    with pytest.raises(InvalidProofError):
        checker.check((text,), method="POST", path="/graphql")


class _NoNonces:
    def accepts(self, _: str) -> bool:
        return True


@pytest.mark.parametrize("algorithm", ["ES256", "PS256", "Ed25519"])
def test_a_header_that_was_seen_before_saves_no_signature(here: Here, algorithm: str) -> None:
    """What is remembered of a header is its key; each proof is signed anew, in letters that have one reading."""
    key = new_key(algorithm)
    first, second = (here.proof(key=key, algorithm=algorithm) for _ in range(2))
    here.check(first)
    head, claims, signature = first.split(".")
    _, others, _ = second.split(".")
    for forged in (
        f"{head}.{others}.{signature}", f"{head}.{claims}.", f"{head}.{claims}.{signature[:-4]}", f"{head}.{claims}",
        f"{head}.{claims}.{signature}=", f"{head}.{claims}.{signature}.", f"{head}..{signature}",
        f"{head}.{claims}.{signature[:10]}+{signature[11:]}", f"{head}=.{claims}.{signature}",
    ):  # fmt: skip
        with pytest.raises(InvalidProofError):
            here.check(forged)
    here.check(second)


@pytest.mark.parametrize(
    "change", [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": ["sign"]}], ids=["use", "operation", "signing"]
)
def test_a_key_for_something_else_proves_nothing(here: Here, change: dict[str, Any]) -> None:
    jwk = here.key.as_dict(private=False)
    here.check(here.proof(header={"jwk": jwk | {"use": "sig", "key_ops": ["verify"]}}))
    with pytest.raises(InvalidProofError):
        here.check(here.proof(header={"jwk": jwk | change}))
