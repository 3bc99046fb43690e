"""Starts the five agencies (six servers: there are two banks) and writes how to reach them.

The servers run in a thread with an event loop of its own, so that the caller's loop is never held up. What lies in the
sandbox's directory afterwards:

* ``sources.toml`` and ``keys/``: for ``hub pull --sources``;
* ``control.json``: address and token of the control endpoint (:mod:`hub.sandbox.control`);
* ``story.json``: the story household, for demonstrations (:mod:`hub.sandbox.story`);
* ``clinic/`` and ``social/``: the trees of the SFTP server and the database server.
"""

import asyncio
import json
import shutil
import threading
from collections.abc import Callable, Coroutine
from dataclasses import fields
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from hub.core.errors import InputError
from hub.sandbox.agencies.agency import Agency
from hub.sandbox.agencies.bank import BankAgency
from hub.sandbox.agencies.civil import PATH, CivilAgency
from hub.sandbox.agencies.clinic import USERNAME, ClinicAgency
from hub.sandbox.agencies.social import DATABASE, READER, SocialAgency
from hub.sandbox.agencies.tax import TaxAgency
from hub.sandbox.control import ControlServer
from hub.sandbox.next_day import NextDay
from hub.sandbox.pki import Authority, KeyPair, write_private
from hub.sandbox.prefecture import Prefecture
from hub.sandbox.sources_file import write_sources

T = TypeVar("T")

AT_ONCE: dict[str, Any] = {"limit_rate": False, "unavailable_every": 0, "busy_every": 0}
"""What makes an agency answer every call at once, as far as it knows of such a thing."""

Tell = Callable[[str], None]
"""Receives a sentence about what is being done."""


class Sandbox:
    """A running sandbox. Make it with :meth:`start`, end it with :meth:`stop`."""

    def __init__(self, directory: Path, prefecture: Prefecture, base_port: int | None, tell: Tell | None) -> None:
        """Use :meth:`start`."""
        self.directory = directory
        self.prefecture = prefecture
        self._tell = tell or (lambda _: None)
        self._base_port = base_port
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        self.keys = directory / "keys"
        self.keys.mkdir(mode=0o700, exist_ok=True)
        self._loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        server_keys = directory / "server-keys"
        self._authority = Authority("Sandbox Authority", server_keys)
        impostor = Authority("Somebody Else", server_keys).issue("impostor")
        write_private(self.keys / "ca.pem", self._authority.pem)
        self.tax = TaxAgency(prefecture, self._authority.issue("tax"), impostor, self.keys)
        self.social = SocialAgency(prefecture, directory / "social", self.keys)
        self.clinic = ClinicAgency(prefecture, directory / "clinic", self.keys)
        self.civil = CivilAgency(prefecture, self._authority.issue("civil"), impostor, self.keys)
        self.banks = {name: self._bank(name, impostor) for name in prefecture.banks}
        self.control = ControlServer(self)

    def _bank(self, name: str, impostor: KeyPair) -> BankAgency:
        """A bank issues its client certificates itself: one bank's certificate opens no other bank."""
        clients = Authority(f"Clients of {name}", self.keys)
        clients.issue(f"{name}_client")
        feed = self.prefecture.banks[name]
        return BankAgency(self.prefecture, feed, self._authority.issue(name), impostor, clients.pem)

    @property
    def agencies(self) -> dict[str, Agency[Any]]:
        """All agencies by source name."""
        return {
            "tax": self.tax,
            "social": self.social,
            "clinic": self.clinic,
            "civil": self.civil,
            **self.banks,
        }

    @property
    def sources_file(self) -> Path:
        """The file for ``hub pull --sources``."""
        return self.directory / "sources.toml"

    @classmethod
    async def start(
        cls, directory: Path, prefecture: Prefecture, *, base_port: int | None = None, tell: Tell | None = None
    ) -> "Sandbox":
        """Start every agency and write the files.

        ``base_port``: tax, social, clinic, civil, the banks and the control endpoint listen on this port and the
        following ones; by default on free ones. Raises :class:`HubError` if a port or the database cannot be used.
        """
        sandbox = cls(directory, prefecture, base_port, tell)
        sandbox._thread.start()
        try:
            await sandbox._on_loop(sandbox._open())
        except BaseException:
            await sandbox.stop()
            raise
        return sandbox

    async def stop(self, *, remove: bool = False) -> None:
        """Stop every server. The files stay, or with ``remove`` all but the keys and ``*.json`` are deleted.

        Without ``remove`` the database server's data stay too, which makes the next start faster.
        """
        if not self._thread.is_alive():
            return
        await self._on_loop(self._close())
        if remove:
            await self._on_loop(self.social.remove())
            await asyncio.to_thread(shutil.rmtree, self.clinic.root, ignore_errors=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)

    async def advance(self, day: date, changes: int | None = None) -> NextDay:
        """Let the days up to ``day`` pass at every agency; returns what an incremental pull must see."""
        return await self._on_loop(self.advance_here(day, changes))

    async def misbehave(self, source: str, **changes: Any) -> dict[str, Any]:
        """Change how an agency misbehaves (:mod:`hub.sandbox.misbehaviour`); returns its whole state."""
        return await self._on_loop(self.misbehave_here(source, changes))

    async def answer_at_once(self) -> None:
        """No agency is slow, busy or limits the rate of calls any more: for measurements."""
        for source, agency in self.agencies.items():
            known = {each.name for each in fields(agency.misbehaviour)}
            await self.misbehave(source, **{name: value for name, value in AT_ONCE.items() if name in known})

    async def advance_here(self, day: date, changes: int | None = None) -> NextDay:
        """The same as :meth:`advance`, called on the sandbox's own loop."""
        change = self.prefecture.advance(day, changes)
        self.clinic.add(change.clinic_files)
        await self.social.replicate(change.social_rows)
        return change

    async def misbehave_here(self, source: str, changes: dict[str, Any]) -> dict[str, Any]:
        """The same as :meth:`misbehave`, called on the sandbox's own loop."""
        agency = self.agencies.get(source)
        if agency is None:
            raise InputError(f"The sandbox has no agency {source}.", remedy=f"Known: {', '.join(self.agencies)}.")
        return await agency.misbehave(**changes)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    async def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    async def _open(self) -> None:
        port = self._base_port or 0
        for name, agency in self.agencies.items():
            self._tell(f"Starting the agency {name}.")
            await agency.open(port)
            port += 1 if port else 0
        await self.control.open(port)
        write_sources(self.sources_file, self._sources())
        write_private(self.directory / "control.json", json.dumps(self.control.address()))
        write_private(self.directory / "story.json", json.dumps(story_facts(self.prefecture), ensure_ascii=False))

    async def _close(self) -> None:
        await self.control.close()
        for agency in self.agencies.values():
            await agency.close()

    def _sources(self) -> dict[str, dict[str, Any]]:
        sources: dict[str, dict[str, Any]] = {
            "tax": {
                "kind": "tax-rest",
                "agreement_no": "DH-SJ-2026-001",
                "base_url": f"{self.tax.origin}/api/v1",
                "token_url": f"{self.tax.origin}/oauth2/token",
                "client_id_file": "keys/tax_client_id",
                "client_secret_file": "keys/tax_client_secret",
                "ca_file": "keys/ca.pem",
            },
            "social": {
                "kind": "social-view",
                "agreement_no": "DH-SJ-2026-002",
                "host": "127.0.0.1",
                "port": self.social.gate.port,
                "database": DATABASE,
                "user": READER,
                "password_file": "keys/social_password",
                "allow_plain_loopback": True,
            },
            "clinic": {
                "kind": "clinic-sftp",
                "agreement_no": "DH-SJ-2026-003",
                "host": "127.0.0.1",
                "port": self.clinic.gate.port,
                "username": USERNAME,
                "private_key_file": "keys/clinic_id_ed25519",
                "known_hosts_file": "keys/clinic_known_hosts",
                "root": "/outbox",
            },
            "civil": {
                "kind": "civil-soap",
                "agreement_no": "DH-SJ-2026-004",
                "endpoint_url": f"{self.civil.origin}{PATH}",
                "username_file": "keys/civil_username",
                "password_file": "keys/civil_password",
                "ca_file": "keys/ca.pem",
            },
        }
        for number, (name, bank) in enumerate(self.banks.items(), start=5):
            sources[name] = {
                "kind": "bank-files",
                "agreement_no": f"DH-SJ-2026-{number:03d}",
                "base_url": f"{bank.origin}/v1",
                "jwks_url": f"{bank.origin}/.well-known/jwks.json",
                "bank_code": self.prefecture.banks[name].bank.code,
                "client_cert_file": f"keys/{name}_client.pem",
                "client_key_file": f"keys/{name}_client.key",
                "ca_file": "keys/ca.pem",
            }
        return sources


def story_facts(prefecture: Prefecture) -> dict[str, Any]:
    """Who the story household is, as ``story.json`` holds it."""
    story = prefecture.story
    roles = {
        "borrower": story.borrower,
        "spouse": story.spouse,
        "father": story.father,
        "son": story.son,
        "daughter": story.daughter,
    }
    return {
        "as_of": prefecture.as_of.isoformat(),
        "household_no": story.household.number,
        "county_code": story.household.village.county,
        "village_code": story.household.village.code,
        "village_name": story.household.village.name,
        "banks": {name: feed.bank.code for name, feed in prefecture.banks.items()},
        "people": {
            role: {"name": person.name, "id_number": person.id_number, "member_no": person.member_no}
            for role, person in roles.items()
        },
    }
