"""Commitments: what they bind, that one field can be told alone, and that nothing can be guessed."""

import hashlib
import hmac
from uuid import UUID, uuid4

import orjson
from hypothesis import given
from hypothesis import strategies as st

from hub.audit.commitments import (
    Link,
    blind_of,
    field_commitment,
    field_salt,
    group_commitments,
    group_root,
    open_field,
    tree_root,
)
from hub.audit.merkle import verify_inclusion
from hub.core.canonical import canonical_bytes
from tests.audit.conftest import Log

NAMES = st.text("abcdefgh.XYZ", min_size=1, max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text().map(lambda text: text.encode("utf-8", "ignore").decode()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(min_size=32, max_size=32), st.dictionaries(NAMES, st.binary(max_size=20), max_size=9))
def test_group_commitments_are_as_written_down(salt: bytes, fields: dict[str, bytes]) -> None:
    expected = []
    for index, (name, value) in enumerate([("count", str(len(fields)).encode()), *sorted(fields.items())]):
        own = hmac.new(salt, b"salt" + index.to_bytes(4, "big") + name.encode(), "sha256").digest()[:16]
        assert own == field_salt(salt, index, name)
        length = len(name.encode()).to_bytes(2, "big")
        preimage = b"hub/fc/v1\x00" + own + length + name.encode() + value
        expected.append(hashlib.sha256(preimage).digest())
        assert field_commitment(own, name, value) == expected[-1]
    assert group_commitments(salt, fields) == expected


@given(st.dictionaries(NAMES, st.binary(max_size=20), min_size=1, max_size=9), st.data())
def test_one_field_is_told_alone(fields: dict[str, bytes], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    salt = bytes(range(32))
    told = open_field(salt, fields, 0, name, (group_root(salt, fields),))
    commitment = field_commitment(told.salt, told.name, told.value)
    verify_inclusion(commitment, told.index, told.count + 1, told.path, told.roots[0])
    other = field_commitment(told.salt, told.name, told.value + b"0")
    assert other != commitment


@given(VALUES)
def test_fast_encoder_gives_canonical_bytes(value: object) -> None:
    try:
        expected = canonical_bytes(value)
    except ValueError:
        return
    assert orjson.dumps(value, option=orjson.OPT_SORT_KEYS) == expected


def test_steps_differ_by_every_part() -> None:
    link = Link(UUID(int=1), 0, 1, bytes(32), bytes(16))
    others = [
        Link(UUID(int=2), 0, 1, bytes(32), bytes(16)),
        Link(UUID(int=1), 1, 1, bytes(32), bytes(16)),
        Link(UUID(int=1), 0, 2, bytes(32), bytes(16)),
        Link(UUID(int=1), 0, 1, bytes(31) + b"\x01", bytes(16)),
        Link(UUID(int=1), 0, 1, bytes(32), bytes(15) + b"\x01"),
    ]
    assert len({link.step(), *(other.step() for other in others)}) == 6


def test_blind_is_not_the_salt() -> None:
    assert blind_of(bytes(32)) not in (bytes(32), tree_root([bytes(32)]))


async def test_entry_does_not_let_a_guessed_value_be_confirmed(log: Log) -> None:
    """Whoever holds the entries and knows every possible value, actor and person still cannot tell which it was."""
    subject = uuid4()
    [ev] = await log.record(1, subject)
    async with log.running() as (_, receipts):
        receipt = await receipts.wait(ev, 5)
    entry = log.query(subject)
    guesses = {
        b"533103199001011234",
        "刀岩".encode(),
        b"officer-17",
        subject.bytes,
        str(subject).encode(),
        entry.operation or b"",
        canonical_bytes(dict(entry.facts)),
        *(canonical_bytes(value) for value in entry.facts.values()),
        *(b"%04d" % number for number in range(10_000)),
    }
    leaf = receipt.leaf()
    seen = {leaf.rc, leaf.sn, *receipt.proof}
    zero = bytes(32)
    for guess in guesses:
        for made in (
            hashlib.sha256(guess).digest(),
            hashlib.sha256(b"\x00" + guess).digest(),
            field_commitment(b"", "actor", guess),
            field_commitment(bytes(16), "facts.client", guess),
            group_root(zero, {"actor": guess}),
        ):
            assert made not in seen
        assert guess.hex().encode() not in receipt.entry or len(guess) < 8


async def test_entries_with_and_without_persons_look_alike(log: Log) -> None:
    await log.write(log.query(decision="deny"), log.query(uuid4(), uuid4(), uuid4(), decision="deny"))
    async with log.running() as (_, receipts):
        first, second = [(await receipts.wait(ev, 5)) for ev in log.written]
    assert len(first.entry) == len(second.entry)
    one, two = first.leaf(), second.leaf()
    assert (one.kind, one.what, one.organisation, one.purpose, one.decision, one.policy) == (
        two.kind,
        two.what,
        two.organisation,
        two.purpose,
        two.decision,
        two.policy,
    )
