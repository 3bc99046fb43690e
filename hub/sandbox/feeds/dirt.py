"""When a row is spoiled, and how names are misspelt."""

from random import Random

_HOMOPHONES = str.maketrans("腊曩线岩喊团芝凤英兰", "拉囊限艾罕囤枝风莹蓝")


class DirtPlan:
    """Decides for each row in turn which dirt it gets, if any.

    Every kind comes at least once as soon as enough fitting rows have passed, so that even a small world shows them
    all; beyond that each kind has its rate (share of the rows).
    """

    def __init__(self, rng: Random, rates: dict[str, float], every: int = 4) -> None:
        """``every``: one row in so many gets a kind not seen yet."""
        self._rng = rng
        self._rates = rates
        self._total = sum(rates.values())
        self._waiting = list(rates)
        self._every = every
        self._rows = 0

    def draw(self, fitting: tuple[str, ...] | None = None) -> str | None:
        """The dirt of the next row, out of the kinds ``fitting`` it (all by default), or ``None`` for a clean row."""
        self._rows += 1
        if self._waiting and self._rows % self._every == 0:
            for kind in self._waiting:
                if fitting is None or kind in fitting:
                    self._waiting.remove(kind)
                    return kind
        if self._rng.random() >= self._total:
            return None
        kind = self._rng.choices(list(self._rates), list(self._rates.values()))[0]
        return kind if fitting is None or kind in fitting else None


def misspell(name: str) -> str:
    """Another spelling of a name that is not equal after normalisation: a homophone, else the first two characters."""
    other = name.translate(_HOMOPHONES)
    if other != name:
        return other
    return name[:-1] if len(name) > 2 else name + "保"


def lose_characters(rng: Random, name: str) -> str:
    """A name that nobody can read any more: U+FFFD or a private-use character."""
    return name[0] + rng.choice(("\ufffd\ufffd", "\ue4c6", "\ufffd"))
