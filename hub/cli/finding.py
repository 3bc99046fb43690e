"""What one check of ``hub doctor`` saw."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One sentence about one thing."""

    check: str
    good: bool
    message: str
    """One sentence, without secrets."""
    remedy: str = ""
    """How to mend it; empty when good."""
