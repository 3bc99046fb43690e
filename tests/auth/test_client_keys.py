"""Which public keys a client may be registered with."""

from typing import Any

import pytest
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from hub.auth.jwks import read_jwks
from hub.core.errors import InputError

from .clients import jwks, new_key


def test_good_keys_are_read() -> None:
    keys = read_jwks(jwks(new_key("ES256"), new_key("PS256"), new_key("Ed25519")))
    assert [key.key_type for key in keys] == ["EC", "RSA", "OKP"]


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    "make",
    [
        dict,
        lambda: {"keys": []},
        lambda: {"keys": [7]},
        lambda: {"keys": [{"kty": "EC"}]},
        lambda: {"keys": [{"kty": "none"}]},
        lambda: jwks(*[new_key("ES256") for _ in range(6)]),
        lambda: jwks(RSAKey.generate_key(1024)),
        lambda: jwks(ECKey.generate_key("P-384")),
        lambda: jwks(OKPKey.generate_key("X25519")),
        lambda: {"keys": [OctKey.generate_key(256).as_dict(private=True)]},
        lambda: {"keys": [new_key("ES256").as_dict(private=True)]},
    ],
    ids=["no keys", "empty", "number", "no curve", "unknown", "six", "short", "P-384", "X25519", "secret", "private"],
)
def test_other_keys_are_refused(make: Any) -> None:
    with pytest.raises(InputError) as refusal:
        read_jwks(make())
    assert refusal.value.code == "CLIENT_KEYS"
    assert refusal.value.remedy
