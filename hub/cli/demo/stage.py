"""Sets the stage of the demo: an empty home, the sandbox's agencies, a first pull, the API."""

import asyncio
import fcntl
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from hub.app import rule_terms
from hub.cli.demo.narrator import Narrator
from hub.cli.pull import pull_sources
from hub.cli.session import open_database, operator_name
from hub.connectors.sources import load_sources
from hub.core.clock import system_clock
from hub.core.errors import SettingsError
from hub.flows.receipts import receipt_desk
from hub.flows.rules.load_rules import load_rules
from hub.main import listen, serve
from hub.sandbox.caller import Caller, SystemCaller
from hub.sandbox.cast import SYSTEMS, Cast
from hub.sandbox.prefecture import yesterday
from hub.sandbox.process import SandboxProcess
from hub.sandbox.tokens import person_token
from hub.settings import Settings
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.prepare import make_home
from hub.store.server import EmbeddedServer

MARKER = "sandbox"
"""A home with this folder belongs to a demo and may be emptied."""

_TOKEN_LIFE = timedelta(minutes=10)
_READY_SECONDS = 30


@dataclass
class Stage:
    """Everything the story acts on."""

    settings: Settings
    database: Database
    keys: FileKeys
    sandbox: SandboxProcess
    report: dict[str, Any]
    cast: Cast
    http: httpx.AsyncClient

    def system(self, client_id: str) -> SystemCaller:
        """A bank's system."""
        key = self.cast.private_key(client_id)
        return SystemCaller(self.http, self.settings.public_url, client_id=client_id, key=key)

    async def person(self, name: str) -> Caller:
        """One of the sandbox's people; the issue of the token is recorded like everybody's."""
        operator = operator_name()
        token = await person_token(self.settings, self.database, self.keys, name, _TOKEN_LIFE, operator=operator)
        return Caller(self.http, self.settings.public_url, token)

    def print_addresses(self) -> None:
        """Where everything is, and how to act as each kind of user."""
        url = self.settings.public_url
        print(f"\nThe hub is running. GraphQL: {url}/graphql   Explorer page: {url}/explorer")
        print(f"In another terminal:  export HUB_HOME={shlex.quote(str(self.settings.home))}")
        print(f"                      export HUB_PORT={self.settings.port} HUB_PUBLIC_URL={url}")
        print(f"                      export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH")
        for client_id, system in SYSTEMS.items():
            print(f"  bank system {client_id:10} ({system.role}):  hub sandbox token {client_id}")
        for name in ("borrower", "spouse", "regulator", "auditor", "steward", "collector"):
            print(f"  {name:22}:  hub sandbox token {name}")
        borrower = self.sandbox.story["people"]["borrower"]
        print(f"The story's borrower is {borrower['name']}, ID number {borrower['id_number']} (synthetic).")
        print("Stop with Ctrl-C.", flush=True)


@asynccontextmanager
async def open_stage(settings: Settings, narrator: Narrator, *, households: int, seed: int) -> AsyncIterator[Stage]:
    """Set everything up and take it down again; the data stay in HUB_HOME."""
    _check_address(settings)
    bound = listen(settings.host, settings.port)  # before anything else, so that a port in use is told at once
    async with AsyncExitStack() as stack:
        stack.callback(bound.close)
        await _empty_home(settings)
        make_home(settings.home)
        folder = settings.home / MARKER
        folder.mkdir(mode=0o700)
        stack.enter_context(_claim(folder))
        narrator.step(f"A synthetic prefecture of {households:,} households and its agencies")
        sandbox = await SandboxProcess.start(
            folder / "agencies",
            households=households,
            seed=seed,
            as_of=yesterday(system_clock()),
            tell=narrator.say,
        )
        stack.push_async_callback(sandbox.stop)
        narrator.step("Pulling the agencies: tax, social security, clinics, civil affairs, two banks")
        report = await pull_sources(settings, load_sources(sandbox.sources_file))
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        cast = Cast(settings.home)
        await load_rules(database, keys, settings.home, rule_terms(settings))
        owner = await database.connect(DbRole.OWNER)
        try:
            async with receipt_desk(database, keys, settings.home) as receipts:
                await cast.register(owner, keys, receipts, sandbox.story)
        finally:
            await owner.close()
        server = asyncio.create_task(serve(settings, bound))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        await _until_ready(http, settings, server)
        stack.push_async_callback(_stop, server)
        yield Stage(settings, database, keys, sandbox, report, cast, http)


def _check_address(settings: Settings) -> None:
    """The story is told over the public address. Raises :class:`SettingsError` if it has another port here."""
    url = urlsplit(settings.public_url)
    port = url.port or (443 if url.scheme == "https" else 80)
    if url.hostname in {"127.0.0.1", "localhost", "::1"} and port != settings.port:
        raise SettingsError(
            f"HUB_PORT is {settings.port}, but HUB_PUBLIC_URL is {settings.public_url}.",
            remedy="Set both to the same port for the demo.",
        )


async def _empty_home(settings: Settings) -> None:
    """Remove an earlier demo. Raises :class:`SettingsError` for a home that holds anything else."""
    home: Path = settings.home
    if settings.database_url is not None:
        raise SettingsError(
            "the demo works on an embedded database only.", remedy="Unset HUB_DATABASE_URL for the demo."
        )
    if not _holds_demo(home):
        return
    with _claim(home / MARKER):
        for owner in (home, home / MARKER / "agencies" / "social"):
            server = EmbeddedServer(owner)
            if server.place.folder.exists():
                await server.remove()
        await asyncio.to_thread(shutil.rmtree, home)


@contextmanager
def _claim(folder: Path) -> Iterator[None]:
    """Hold the folder of a demo, so that no second demo empties it. Raises :class:`SettingsError` if one holds it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError(
                f"another demo is running in {folder.parent}.",
                remedy="End it with Ctrl-C, or set HUB_HOME to another folder for this one.",
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holds_demo(home: Path) -> bool:
    """Whether an earlier demo lies there; ``False`` for an empty or missing folder."""
    if not home.exists() or not any(home.iterdir()):
        return False
    if not (home / MARKER).is_dir():
        raise SettingsError(
            f"{home} holds data that are not a demo's; they were left alone.",
            remedy="Set HUB_HOME to another folder for the demo.",
        )
    return True


async def _until_ready(http: httpx.AsyncClient, settings: Settings, server: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            if server.done():
                await server
            try:
                if (await http.get(f"{settings.public_url}/readyz")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def _stop(server: "asyncio.Task[None]") -> None:
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)
