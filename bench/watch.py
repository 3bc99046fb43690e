"""How busy the machine was with other things while a sample was taken."""

import time
from dataclasses import dataclass

import psutil

LIMIT = 0.15
"""Cores that foreign processes may use during a sample; above it the sample is dropped."""


@dataclass(frozen=True)
class _Seen:
    """One process at one moment: CPU seconds of its own, and of its children that have ended."""

    parent: int
    own: float
    ended: float
    kernel: bool


def _processes() -> dict[tuple[int, float], _Seen]:
    found = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                times = process.cpu_times()
                found[process.pid, process.create_time()] = _Seen(
                    process.ppid(),
                    times.user + times.system,
                    times.children_user + times.children_system,
                    process.ppid() == 2 or process.pid == 2,
                )
        except psutil.Error:
            continue
    return found


class ForeignLoad:
    """Cores used by others between :meth:`start` and :meth:`stop`.

    Ours are this process and all below it, and the database servers named by their postmasters; kernel threads write
    our own pages and do not count. Time that the hypervisor took away counts as foreign.
    """

    def __init__(self) -> None:
        self._roots: set[int] = {psutil.Process().pid}
        self._before: dict[tuple[int, float], _Seen] = {}
        self._stolen = 0.0
        self._began = 0.0

    def own(self, pid: int) -> None:
        """Count this process and everything below it as ours."""
        self._roots.add(pid)

    def start(self) -> None:
        """Begin a sample."""
        self._before = _processes()
        self._stolen = psutil.cpu_times().steal
        self._began = time.monotonic()

    def stop(self) -> float:
        """Cores that others used on average since :meth:`start`."""
        seconds = time.monotonic() - self._began
        after = _processes()
        ours = self._ours(after) | self._ours(self._before)
        used = psutil.cpu_times().steal - self._stolen
        for key, seen in after.items():
            if key in ours or seen.kernel:
                continue
            before = self._before.get(key)
            used += seen.own - (before.own if before else 0.0)
            used += seen.ended - (before.ended if before else 0.0)
        for key, seen in self._before.items():
            # What a child had used before the sample arrives at its parent when it ends during the sample.
            if key not in after and key not in ours and not seen.kernel:
                used -= seen.own + seen.ended
        return max(0.0, used) / seconds

    def _ours(self, found: dict[tuple[int, float], _Seen]) -> set[tuple[int, float]]:
        below = dict.fromkeys(self._roots)
        grew = True
        while grew:
            more = {pid: None for (pid, _), seen in found.items() if seen.parent in below and pid not in below}
            grew = bool(more)
            below |= more
        return {key for key in found if key[0] in below}
