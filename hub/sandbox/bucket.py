"""The rate limits that the agencies document."""

import math
import time


class TokenBucket:
    """Allows ``rate`` calls per second on average and ``burst`` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    def take(self) -> int:
        """0 if a call may go on, else the whole seconds after which to come again (``Retry-After``)."""
        now = time.monotonic()
        self._tokens = min(float(self._burst), self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return max(1, math.ceil((1 - self._tokens) / self._rate))
