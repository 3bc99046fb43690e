"""The circuit of a source: how soon an agency that fails is asked again, and when it is left alone for a while.

CLOSED: the source is pulled as planned; after a failure that may pass it is tried again soon, each time after a longer
wait. OPEN: it failed too often in a row, or in a way that only people can mend, and is left alone until ``retry_at``.
HALF_OPEN: that time has come and one pull is on trial; it closes the circuit or opens it for longer.

Waits have full jitter (a random part between nothing and a bound that doubles), so that hubs which an agency turned
away together do not come back together.
"""

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

FAILURES_TO_OPEN = 3
"""So many failures in a row open the circuit."""
RETRY_SECONDS = 30.0
"""Bound of the wait after the first failure; it doubles with each further one."""
OPEN_SECONDS = 300.0
"""Bound of the wait when the circuit opens; it doubles with each trial that fails."""
LONGEST_SECONDS = 3600.0
"""No bound is larger."""
LEAST_SECONDS = 5.0
"""No wait is shorter."""


class CircuitState(StrEnum):
    """Whether a source is pulled."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True)
class Circuit:
    """``failures`` counts those in a row; ``retry_at`` is the earliest next try, ``None`` after a success."""

    since: datetime
    state: CircuitState = CircuitState.CLOSED
    failures: int = 0
    retry_at: datetime | None = None
    error_code: str | None = None

    def lets_through(self, now: datetime) -> bool:
        """Whether the source may be asked now."""
        return self.state is CircuitState.HALF_OPEN or self.retry_at is None or now >= self.retry_at

    def on_trial(self, now: datetime) -> "Circuit":
        """The circuit while a pull is under way: an open one is half open."""
        if self.state is not CircuitState.OPEN:
            return self
        return Circuit(now, CircuitState.HALF_OPEN, self.failures, self.retry_at, self.error_code)

    def succeeded(self, now: datetime) -> "Circuit":
        """The circuit after a pull that went well."""
        return Circuit(self.since if self.state is CircuitState.CLOSED else now)

    def failed(self, now: datetime, code: str, *, may_pass: bool, chance: random.Random) -> "Circuit":
        """The circuit after a failure; one that will not pass by itself opens it at once."""
        failures = self.failures + 1
        opens = self.state is not CircuitState.CLOSED or not may_pass or failures >= FAILURES_TO_OPEN
        if opens:
            bound = OPEN_SECONDS * 2 ** min(20, max(0, failures - FAILURES_TO_OPEN))
            state, since = CircuitState.OPEN, self.since if self.state is CircuitState.OPEN else now
        else:
            bound, state, since = RETRY_SECONDS * 2 ** (failures - 1), CircuitState.CLOSED, self.since
        wait = LEAST_SECONDS + chance.uniform(0.0, min(LONGEST_SECONDS, bound))
        return Circuit(since, state, failures, now + timedelta(seconds=wait), code)
