"""Faults at the named phases of a pull (hub/core/phases.py): an exception, or the process killed on the spot.

They come in through the watcher that the caller of a pull may pass; the hub itself knows nothing of them. Run as a
program, this module makes one child process for each fault that it is told on standard input, lets it pull until the
fault kills it, and says how it ended: so the modules of the hub are loaded once and not for every kill.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hub.cli.pull import pull_sources
from hub.connectors.sources import load_sources, select_sources
from hub.core.errors import RetryableError
from hub.core.phases import Phase
from hub.settings import load


class Moment(StrEnum):
    """Before a phase has done anything, or when it has done all."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True)
class Fault:
    """At which passage of which phase, counted from 1 over all sources of the run."""

    phase: Phase
    moment: Moment
    passage: int = 1

    def __str__(self) -> str:
        return f"{self.moment}:{self.phase}:{self.passage}"

    @classmethod
    def parse(cls, text: str) -> "Fault":
        moment, phase, passage = text.split(":")
        return cls(Phase(phase), Moment(moment), int(passage))


class InjectedError(Exception):
    """A failure that nobody foresaw."""


class FaultyPhase:
    """A watcher that lets one phase fail, once."""

    def __init__(self, fault: Fault, fail: Callable[[], None]) -> None:
        self.happened = False
        self._fault = fault
        self._fail = fail
        self._passages = dict.fromkeys(Moment, 0)

    def begun(self, phase: Phase) -> None:
        self._pass(phase, Moment.BEFORE)

    def ended(self, phase: Phase, seconds: float, failed: bool) -> None:
        if not failed:
            self._pass(phase, Moment.AFTER)

    def _pass(self, phase: Phase, moment: Moment) -> None:
        if phase is not self._fault.phase:
            return
        self._passages[moment] += 1
        if moment is self._fault.moment and self._passages[moment] == self._fault.passage:
            self.happened = True
            self._fail()


def raise_error() -> None:
    raise InjectedError


def raise_passing_error() -> None:
    raise RetryableError("injected")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def pull_with(fault: FaultyPhase | None, home: Path, sources: Path) -> dict[str, Any]:
    """What `hub pull` does, in this process."""
    return await pull_sources(load({"HUB_HOME": str(home)}), select_sources(load_sources(sources), []), fault)


class Killer:
    """A process whose children are killed."""

    def __init__(self, home: Path, sources: Path) -> None:
        arguments = (sys.executable, "-m", "tests.done.pull_faults", str(home), str(sources))
        self._process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def __enter__(self) -> "Killer":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    async def pull_and_kill(self, fault: Fault) -> int:
        """The exit code of a pull with this fault; it is -9 if the fault was passed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(fault, file=self._process.stdin)
        return int(await asyncio.to_thread(self._process.stdout.readline))


def serve(home: Path, sources: Path) -> None:
    """One fault a line in, one exit code a line out."""
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            fault = FaultyPhase(Fault.parse(line.strip()), die)
            try:
                asyncio.run(pull_with(fault, home, sources))
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
