"""The chain of a device's slips: what is known, what is odd, and that nothing is ever left out."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hub.consent.batch import Slip, read_batch
from hub.consent.chain import AHEAD, OLDEST, ChainFlag, Seen, judge_chain
from hub.sandbox.device import FieldDevice

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
ALICE = ("533103198001010014", "岩罕")
FRESH = Seen(0, None, {})
_DEVICE = FieldDevice("d")


def chain(*minutes: int) -> list[dict[str, Any]]:
    """Slips of a fresh device, so many minutes after four o'clock."""
    device = FieldDevice("d", _DEVICE.key)
    return [device.withdrawal(ALICE, at=NOW + timedelta(minutes=each)) for each in minutes]


def read(slips: list[dict[str, Any]]) -> tuple[tuple[Slip, ...], tuple[str, ...]]:
    batch = read_batch(_DEVICE.sign({"version": 1, "device": "d", "slips": slips}))
    return batch.slips, batch.hashes


def held(slips: list[dict[str, Any]]) -> Seen:
    """What the hub knows once it has taken these slips."""
    found, hashes = read(slips)
    by_counter: dict[int, frozenset[str]] = {}
    for slip, digest in zip(found, hashes, strict=True):
        by_counter[slip.counter] = by_counter.get(slip.counter, frozenset()) | {digest}
    last = max(datetime.fromisoformat(slip["time"]) for slip in slips)
    return Seen(max(slip["counter"] for slip in slips), last, by_counter)


def test_a_chain_in_order_is_flawless_whole_or_in_parts() -> None:
    slips = chain(-9, -8, -7, -7)
    assert judge_chain(*read(slips), FRESH, NOW) == [set()] * 4
    assert judge_chain(*read(slips[2:]), held(slips[:2]), NOW) == [set()] * 2


def test_each_flaw_has_its_flag() -> None:
    slips = chain(-9, -8, -7)
    assert judge_chain(*read(slips[1:]), FRESH, NOW) == [{ChainFlag.GAP}, set()]
    assert judge_chain(*read(slips[:1]), held(slips[1:]), NOW) == [{ChainFlag.OUT_OF_ORDER}]
    broken = slips[1] | {"previous": "ab" * 32}
    assert judge_chain(*read([broken]), held(slips[:1]), NOW) == [{ChainFlag.CHAIN_BROKEN}]
    other = slips[1] | {"recipient": "x"}
    found = judge_chain(*read([other]), held(slips[:2]), NOW)
    assert found == [{ChainFlag.COUNTER_REUSED, ChainFlag.OUT_OF_ORDER}]
    assert judge_chain(*read(chain(-9, -20)), FRESH, NOW) == [set(), {ChainFlag.CLOCK_BACK}]
    ahead, old = int(AHEAD.total_seconds() / 60) + 1, -int(OLDEST.total_seconds() / 60) - 1
    assert judge_chain(*read(chain(old, ahead)), FRESH, NOW) == [{ChainFlag.TOO_OLD}, {ChainFlag.CLOCK_AHEAD}]
    assert judge_chain(*read(chain(old + 2, ahead - 2)), FRESH, NOW) == [set(), set()]


@settings(max_examples=60)
@given(
    st.lists(st.integers(-60, 0), min_size=1, max_size=6), st.randoms(use_true_random=False), st.integers(0, 6),
)  # fmt: skip
def test_whatever_the_order_every_slip_is_judged_and_only_held_ones_are_known(
    minutes: list[int], chance: Any, already: int
) -> None:
    slips = chain(*minutes)
    before = slips[:already]
    sent = [*slips, *chance.choices(slips, k=2)]
    chance.shuffle(sent)
    judged = judge_chain(*read(sent), held(before) if before else FRESH, NOW)
    assert len(judged) == len(sent)
    new = [slip["counter"] for slip, flags in zip(sent, judged, strict=True) if flags is not None]
    assert sorted(new) == [slip["counter"] for slip in slips[already:]]
    # All of the chain is there, so nothing is missing or reused; out of order is what did not come ascending.
    for place, flags in enumerate(judged):
        assert not (flags or set()) & {ChainFlag.GAP, ChainFlag.CHAIN_BROKEN, ChainFlag.COUNTER_REUSED}
        if flags is not None:
            earlier = [sent[at]["counter"] for at in range(place) if judged[at] is not None]
            assert (ChainFlag.OUT_OF_ORDER in flags) == any(each > sent[place]["counter"] for each in earlier)
