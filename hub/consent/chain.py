"""What the chain of a device's slips looks like: gaps, replays, re-ordering, clocks. Pure; nothing is refused for it.

A slip that is held already is known and changes nothing. Everything else is taken, with flags for the reviewer.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hub.consent.batch import FIRST_PREVIOUS, Slip, time_of

OLDEST = timedelta(days=7)
"""How long a device may keep a slip to itself: the lease under which it works offline."""

AHEAD = timedelta(minutes=5)
"""How far a device's clock may be ahead."""


class ChainFlag(StrEnum):
    """What is odd about a slip's place and time."""

    GAP = "GAP"  # the slip before it has not come
    CHAIN_BROKEN = "CHAIN_BROKEN"  # it does not name the slip before it
    COUNTER_REUSED = "COUNTER_REUSED"  # another slip has the same counter
    OUT_OF_ORDER = "OUT_OF_ORDER"  # it came after slips that were made later
    CLOCK_BACK = "CLOCK_BACK"  # its clock is before that of an earlier slip
    CLOCK_AHEAD = "CLOCK_AHEAD"  # its clock is ahead of the hub's
    TOO_OLD = "TOO_OLD"  # it was kept longer than the lease


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a device had come. ``held``: the hashes of slips that are held, by counter, about those of the batch."""

    last_counter: int
    last_time: datetime | None
    held: Mapping[int, frozenset[str]]


def judge_chain(slips: Sequence[Slip], hashes: Sequence[str], seen: Seen, now: datetime) -> list[set[ChainFlag] | None]:
    """For each slip its flags, ``None`` for one that is held already (or stands twice in the batch)."""
    of_counter: dict[int, set[str]] = defaultdict(set, {counter: set(found) for counter, found in seen.held.items()})
    for slip, digest in zip(slips, hashes, strict=True):
        of_counter[slip.counter].add(digest)
    latest = _latest_before(slips, seen)
    judged: list[set[ChainFlag] | None] = []
    highest, met = 0, set[str]()
    for slip, digest in zip(slips, hashes, strict=True):
        if digest in seen.held.get(slip.counter, frozenset()) or digest in met:
            judged.append(None)
            continue
        met.add(digest)
        time, before = time_of(slip), of_counter[slip.counter - 1]
        flags = {
            ChainFlag.GAP: slip.counter > 1 and not before,
            ChainFlag.CHAIN_BROKEN: slip.previous not in (before or {slip.previous})
            if slip.counter > 1
            else slip.previous != FIRST_PREVIOUS,
            ChainFlag.COUNTER_REUSED: len(of_counter[slip.counter]) > 1,
            ChainFlag.OUT_OF_ORDER: slip.counter <= max(seen.last_counter, highest),
            ChainFlag.CLOCK_BACK: (earlier := latest.get(slip.counter)) is not None and time < earlier,
            ChainFlag.CLOCK_AHEAD: time > now + AHEAD,
            ChainFlag.TOO_OLD: time < now - OLDEST,
        }
        judged.append({flag for flag, holds in flags.items() if holds})
        highest = max(highest, slip.counter)
    return judged


def _latest_before(slips: Sequence[Slip], seen: Seen) -> dict[int, datetime]:
    """For each counter the latest clock of the slips before it, as far as that can be told."""
    latest, found = seen.last_time, dict[int, datetime]()
    for slip in sorted(slips, key=lambda each: each.counter):
        if slip.counter > seen.last_counter:
            if latest is not None:
                found[slip.counter] = latest
            latest = time_of(slip) if latest is None else max(latest, time_of(slip))
    return found
