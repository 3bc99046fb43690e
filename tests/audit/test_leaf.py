"""The entry's bytes: one spelling, every other refused."""

import json
from uuid import UUID

import pytest

from hub.audit.leaf import Leaf, LeafError, UnknownVersionError
from hub.core.canonical import canonical_bytes

LEAF = Leaf(
    17,
    1_792_464_000_123,
    UUID("01934f00-0000-7000-8000-000000000017"),
    "query",
    "profile:client:queried",
    "313731038005",
    "LOAN_APPLICATION",
    "mask",
    "rules-1",
    bytes(range(32)),
    bytes(range(32, 64)),
)


def test_bytes_are_canonical_json_and_come_back() -> None:
    entry = LEAF.to_bytes()
    assert canonical_bytes(json.loads(entry)) == entry
    assert Leaf.parse(entry) == LEAF


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('{"dec"', '{ "dec"'),
        lambda text: text.replace('"seq":17', '"seq":17.0'),
        lambda text: text.replace('"seq":17', '"seq":017'),
        lambda text: text.replace('"seq":17', '"seq":-17'),
        lambda text: text.replace('"seq":17', '"seq":true'),
        lambda text: text.replace('"seq":17', f'"seq":{2**53}'),
        lambda text: text.replace('"seq":17', '"seq":17,"seq":17'),
        lambda text: text.replace('"mask"', '"m\\u0061sk"'),
        lambda text: text.replace('"mask"', '"maybe"'),
        lambda text: text.replace('"mask"', '["mask"]'),
        lambda text: text.replace('"query"', '"other"'),
        lambda text: text.replace('"313731038005"', '"刀岩"'),
        lambda text: text.replace("01934f00", "01934F00"),
        lambda text: text.replace("01934f00-", "01934f00"),
        lambda text: text.replace('"rules-1"', "null"),
        lambda text: text.replace('"v":1', '"v":1,"x":2'),
        lambda text: text.replace('"v":1,', ""),
        lambda text: text + "\n",
        lambda text: text[:-1],
        lambda text: "[]",
        lambda text: "",
    ],
)
def test_any_other_spelling_is_refused(spoil) -> None:
    spoilt = spoil(LEAF.to_bytes().decode())
    assert spoilt != LEAF.to_bytes().decode()
    with pytest.raises(LeafError):
        Leaf.parse(spoilt.encode())


def test_unknown_version_is_refused_by_name() -> None:
    with pytest.raises(UnknownVersionError):
        Leaf.parse(LEAF.to_bytes().replace(b'"v":1', b'"v":2'))
