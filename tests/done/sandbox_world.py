"""A sandbox and a hub of real processes that pulls it, with what the hub's commands show."""

import json
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hub.sandbox.prefecture import Prefecture
from hub.sandbox.sandbox import Sandbox
from tests.done.hub_process import HubHome, open_home
from tests.done.state import State, comparable, state_of

AS_OF = date(2026, 11, 10)

PULLED = "pulled"
"""The state after the last undisturbed pull."""


@dataclass
class World:
    """A sandbox, a hub, and what an undisturbed pull made of them."""

    sandbox: Sandbox
    hub: HubHome
    folder: Path
    report: dict[str, Any]
    state: State
    shown: dict[str, Any]

    @classmethod
    async def make(cls, folder: Path, *, seed: int = 3, households: int = 100) -> "World":
        """A prefecture with all its dirt, pulled once from an empty hub."""
        folder.mkdir(exist_ok=True)
        sandbox = await Sandbox.start(folder / "sandbox", Prefecture(seed, households, AS_OF))
        world = cls(sandbox, await open_home(), folder, {}, {}, {})
        await world.remember()
        return world

    async def end(self) -> None:
        await self.hub.remove()
        await self.sandbox.stop()
        await self.sandbox.social._server.remove()

    async def remember(self) -> None:
        """Pull undisturbed; what comes of it, saved as ``pulled``, is what every other way must come to."""
        self.report = await self.pull_to_the_end()
        await self.hub.save(PULLED)
        self.state = await state_of(self.hub.database)
        self.shown = await self.show(self.hub)

    @property
    def pull(self) -> tuple[str, ...]:
        """The command, after `hub`."""
        return "pull", "--sources", str(self.sandbox.sources_file), "--report", str(self.folder / "report.json")

    async def pull_to_the_end(self, hub: HubHome | None = None) -> dict[str, Any]:
        """One undisturbed run; some files of a sandbox are refused, which is exit code 1."""
        file = self.folder / "report.json"
        file.unlink(missing_ok=True)
        ended = await (hub or self.hub).run(*self.pull)
        assert ended.code in {0, 1}, (ended.code, ended.err.decode())
        assert file.exists(), ended.err.decode()
        report: dict[str, Any] = json.loads(file.read_bytes())
        assert {source["status"] for source in report["sources"].values()} <= {"OK", "PARTIAL"}
        return report

    async def show(self, hub: HubHome) -> dict[str, Any]:
        """What the commands print: records of everybody, links, the whole quarantine; without times and ids."""
        numbers = sorted({person.id_number for person in self.sandbox.prefecture.population.people if person.id_number})
        file = self.folder / "numbers"
        file.write_text("\n".join(numbers) + "\n")
        why = ("--purpose", "H", "--reason", "comparison", "--json")
        records = await _lines(hub, "household", "show", "--id-number-file", str(file), *why)
        held_back = await _lines(hub, "quarantine", "list", "--json", "--status", "all")
        for entry in held_back:
            del entry["id"], entry["first_seen"], entry["last_seen"]
        return {
            "households": comparable(records),
            "links": await _lines(hub, "links", "list", "--source", "clinic", "--json"),
            "quarantine": sorted(held_back, key=lambda entry: json.dumps(entry, sort_keys=True)),
        }


async def _lines(hub: HubHome, *arguments: str) -> list[dict[str, Any]]:
    ended = await hub.run(*arguments)
    assert ended.code == 0, ended.err.decode()
    return [json.loads(line) for line in ended.out.splitlines()]
