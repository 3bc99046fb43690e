"""The sandbox in a process of its own, so that its work takes nothing from the hub's process.

The child writes one JSON line for each thing it does and a last one when all agencies are up; it ends when its standard
input is closed, so that it never outlives who started it.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx

from hub.core.errors import HubError, SourceError
from hub.sandbox.prefecture import Prefecture
from hub.sandbox.sandbox import Sandbox


@dataclass(slots=True)
class SandboxProcess:
    """A sandbox running as a child process."""

    directory: Path
    _process: asyncio.subprocess.Process
    _control: httpx.AsyncClient

    @property
    def sources_file(self) -> Path:
        """The file for ``hub pull --sources``."""
        return self.directory / "sources.toml"

    @property
    def story(self) -> dict[str, Any]:
        """The story household (``story.json``)."""
        facts: dict[str, Any] = json.loads((self.directory / "story.json").read_text("utf-8"))
        return facts

    @classmethod
    async def start(
        cls,
        directory: Path,
        *,
        households: int,
        seed: int,
        as_of: date,
        base_port: int | None = None,
        at_once: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> "SandboxProcess":
        """Start the child and wait until every agency answers; with ``at_once`` however often they are called.

        Raises :class:`SourceError` if it does not come up.
        """
        command = [sys.executable, "-m", "hub.sandbox.process", f"--directory={directory}"]
        command += [f"--households={households}", f"--seed={seed}", f"--as-of={as_of}"]
        command += [f"--base-port={base_port}"] if base_port else []
        command += ["--at-once"] if at_once else []
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # an interrupt at the terminal is the parent's to handle
        )
        assert process.stdout is not None, "standard output was asked for"
        async for line in process.stdout:
            said = json.loads(line)
            if "ready" in said:
                address = json.loads((directory / "control.json").read_text("utf-8"))
                headers = {"Authorization": f"Bearer {address['token']}"}
                control = httpx.AsyncClient(base_url=address["url"], headers=headers, timeout=60, trust_env=False)
                return cls(directory, process, control)
            if "error" in said:
                await process.wait()
                raise SourceError(said["error"])
            if tell is not None:
                tell(said["doing"])
        await process.wait()
        raise SourceError("The sandbox ended before its agencies were up.", remedy="See its messages above.")

    async def misbehave(self, source: str, **changes: Any) -> dict[str, Any]:
        """Change how an agency misbehaves; returns its whole state. Raises :class:`SourceError` if refused."""
        return await self._post(f"/control/{source}", changes)

    async def advance(self, day: date, changes: int | None = None) -> dict[str, Any]:
        """Let the days up to ``day`` pass with so many changes at each agency; returns what a pull must see of them."""
        return await self._post("/advance", {"day": day.isoformat(), "changes": changes})

    async def truth(self) -> dict[str, Any]:
        """What the first pull must see."""
        answer = await self._control.get("/truth")
        truth: dict[str, Any] = answer.json()
        return truth

    async def stop(self) -> None:
        """End the child in order; its database server and clinic files are deleted."""
        await self._control.aclose()
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self._control.post(path, json=body)
        said: dict[str, Any] = answer.json()
        if answer.status_code != httpx.codes.OK:
            raise SourceError(f"The sandbox refused: {said['message']}")
        return said


def _say(**message: object) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")
    sys.stdout.flush()


async def _serve(options: argparse.Namespace) -> int:
    try:
        _say(doing=f"Making {options.households} households.")
        prefecture = await asyncio.to_thread(Prefecture, options.seed, options.households, options.as_of)
        sandbox = await Sandbox.start(
            options.directory, prefecture, base_port=options.base_port, tell=lambda text: _say(doing=text)
        )
        if options.at_once:
            await sandbox.answer_at_once()
    except HubError as error:
        _say(error=str(error))
        return 1
    _say(ready=True)
    await asyncio.to_thread(sys.stdin.buffer.read)
    await sandbox.stop(remove=True)
    return 0


def main() -> int:
    """Entry of the child process."""
    parser = argparse.ArgumentParser(prog="hub.sandbox.process")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--households", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument("--base-port", type=int)
    parser.add_argument("--at-once", action="store_true")
    return asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
