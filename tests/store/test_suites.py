"""Cipher suites against published vectors, and both through the key service."""

import hashlib
import hmac

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from hub.store.suites import SUITES, Algorithm, Sm4Gcm

KEY = bytes.fromhex("0123456789abcdeffedcba9876543210")
IV = bytes.fromhex("00001234567800000000abcd")
AAD = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
PLAIN = bytes.fromhex("aa" * 8 + "bb" * 8 + "cc" * 8 + "dd" * 8 + "ee" * 8 + "ff" * 8 + "ee" * 8 + "aa" * 8)
SEALED = bytes.fromhex(
    "17f399f08c67d5ee19d0dc9969c4bb7d5fd46fd3756489069157b282bb200735"
    "d82710ca5c22f0ccfa7cbf93d496ac15a56834cbcf98c397b4024a2691233b8d"
    "83de3541e4c2b58177e065a9bf7b62ec"
)
"""RFC 8998, appendix A.1."""


def test_sm4_gcm_is_that_of_the_standard() -> None:
    cipher = Sm4Gcm(KEY + bytes(16))
    assert cipher.encrypt(IV, PLAIN, AAD) == SEALED
    assert cipher.decrypt(IV, SEALED, AAD) == PLAIN


@pytest.mark.parametrize("place", [0, 40, len(SEALED) - 1])
def test_a_changed_byte_is_refused(place: int) -> None:
    altered = bytearray(SEALED)
    altered[place] ^= 1
    with pytest.raises(InvalidTag):
        Sm4Gcm(KEY).decrypt(IV, bytes(altered), AAD)
    with pytest.raises(InvalidTag):
        Sm4Gcm(KEY).decrypt(IV, SEALED, b"another context")
    with pytest.raises(InvalidTag):
        Sm4Gcm(KEY).decrypt(IV, SEALED[:15], AAD)


@given(algorithm=st.sampled_from(Algorithm), key=st.binary(min_size=32, max_size=32), text=st.binary(max_size=200))
def test_the_fast_way_of_hashing_gives_the_same_hash(algorithm: Algorithm, key: bytes, text: bytes) -> None:
    suite = SUITES[algorithm]
    inner, outer = (state.copy() for state in suite.hmac_states(key))
    inner.update(text)
    outer.update(inner.digest())
    assert outer.digest() == suite.keyed_hash(key, text) == hmac.digest(key, text, suite.hash_name)
    assert len(outer.digest()) == 32


def test_sm3_is_that_of_the_standard() -> None:
    """GB/T 32905, example 1."""
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert hashlib.new(SUITES[Algorithm.SM4].hash_name, b"abc").hexdigest() == expected
