"""The read path: the hub over HTTP, its peer over HTTP, and the bare statement, asked about the same people."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench import documents
from bench.options import Options
from bench.peer.tables import fill
from bench.processes import Child, free_port
from bench.rounds import Variant
from bench.sizes import cpu_seconds, database_cpu_seconds, database_memory, log_size
from bench.stage import BANK, CLIENT, LOG, PEER, STATEMENT, Stage
from bench.statement import by_pgbench
from hub.audit.note import Signer
from hub.audit.proof import Receipt
from hub.audit.sequencer import DEFAULT_ORIGIN
from hub.sandbox.caller import SystemCaller
from hub.sandbox.cast import Cast

_COMPARED = 20
"""Borrowers whose answers must be equal before anything is measured."""

_CONNECTIONS = (1, 8, 32)
_WARM_UP_SECONDS = 0.5

ONE_PERSON, MANY_PEOPLE = "statement by asyncpg, one person", "statement by asyncpg, 50 people"
"""What one question costs as it is about more people."""


@dataclass
class Queries:
    """Everything that is running while queries are measured."""

    stage: Stage
    options: Options
    http: httpx.AsyncClient
    hub: Child
    peer: Child
    client: Child
    worker: Child
    peer_port: int
    caller: SystemCaller
    bodies: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    next: int = 0
    answered: int = 0
    compared: dict[str, Any] = field(default_factory=dict)
    log_before: tuple[int, int] = (0, 0)

    @classmethod
    @asynccontextmanager
    async def open(cls, stage: Stage, options: Options) -> AsyncIterator["Queries"]:
        """Start the servers and the clients; make sure that both servers say the same."""
        async with AsyncExitStack() as stack:

            async def child(module: str, *arguments: str, **environment: str) -> Child:
                started = await Child.start(module, *arguments, environment=environment)
                stack.push_async_callback(started.stop)
                return started

            home, port, peer_port = stage.settings.home, stage.settings.port, free_port()
            await fill(stage.database, await stage.copy(PEER, "template0"), stage.keys)
            settings = {"HUB_HOME": str(home), "HUB_PORT": str(port), "HUB_PUBLIC_URL": stage.settings.public_url}
            # What an answer costs is measured, not for how long it is held back after that (docs/adr/0014).
            settings["HUB_EVEN_STEP_MS"] = "1"
            hub = await child("hub.cli", "serve", HUB_LOG_LEVEL="warning", **settings)
            peer = await child(
                "bench.peer", f"--home={home}", f"--database={PEER}", f"--bank={BANK}", f"--port={peer_port}"
            )
            client, worker = await child("bench.client"), await child("bench.worker", str(home))
            await hub.listening(port)
            await peer.listening(peer_port)
            http = await stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
            key = Cast(stage.settings.home).private_key(CLIENT)
            caller = SystemCaller(http, stage.settings.public_url, client_id=CLIENT, key=key)
            queries = cls(stage, options, http, hub, peer, client, worker, peer_port, caller)
            await queries._prepare()
            yield queries

    async def _prepare(self) -> None:
        people = [(borrower.id_number, borrower.name) for borrower in self.stage.borrowers]
        for name in ("FULL", "HALF", "FEW"):
            document = getattr(documents, name)
            self.bodies[name] = [
                json.dumps({"query": document, "variables": documents.variables(*person)}, ensure_ascii=False)
                for person in people
            ]
        self.compared = await self._compare()
        self.log_before = await log_size(self.stage.database)
        await self.worker.ask({"kind": "prepare", "database": STATEMENT, "client": CLIENT, "people": people})

    async def _compare(self) -> dict[str, Any]:
        """Ask both about some borrowers. Raises :class:`RuntimeError` where the answers differ in more than ids."""
        token = await self.caller.bearer()
        signer = Signer(DEFAULT_ORIGIN, self.stage.keys.signing_key("audit-log"))
        counts, sizes = [], []
        for body in self.bodies["FULL"][:_COMPARED]:
            ours = await self._post(f"{self.stage.settings.public_url}/graphql", body, token)
            theirs = await self._post(f"http://127.0.0.1:{self.peer_port}/naive", body, "")
            Receipt.parse(ours["extensions"]["receipt"]["proof"]).verify(signer.verifier)
            mine, other = _comparable(ours), _comparable(theirs)
            if mine != other:
                places = sorted(name for name in mine if mine[name] != other.get(name))
                raise RuntimeError(f"the peer answers differently in {', '.join(places)}")
            counts.append(documents.leaves(ours["data"]))
            sizes.append(len(json.dumps(ours["data"], ensure_ascii=False).encode()))
        return {"leaves": sum(counts) / len(counts), "bytes": sum(sizes) / len(sizes)}

    async def _post(self, url: str, body: str, token: str) -> dict[str, Any]:
        answer = await self.http.post(url, content=body.encode(), headers=_headers(token))
        reply: dict[str, Any] = answer.json()
        if answer.status_code != httpx.codes.OK or "errors" in reply:
            raise RuntimeError(f"{url} answered {answer.status_code}: {reply.get('errors')}")
        return reply

    def variants(self) -> list[Variant]:
        """Everything that is measured here."""
        # What is compared with one another stands side by side.
        http = [
            Variant(_name("hub", n), "queries/s", _later(self._hub, n, "FULL"), "checked, recorded, signed, receipt")
            for n in _CONNECTIONS
        ] + [
            Variant(_name("naive Strawberry", 32), "queries/s", _later(self._peer, 32, "/naive")),
            Variant(_name("naive Strawberry", 1), "queries/s", _later(self._peer, 1, "/naive")),
            Variant(_name("Strawberry with caches", 32), "queries/s", _later(self._peer, 32, "/cached")),
            Variant(_name("hub, half of the fields", 32), "queries/s", _later(self._hub, 32, "HALF")),
            Variant(_name("hub, few fields", 32), "queries/s", _later(self._hub, 32, "FEW")),
        ]
        below = [
            Variant("statement by asyncpg, 8 connections", "queries/s", _later(self._statement, 8, 1)),
            Variant("statement by asyncpg, 2 connections x 32 requests", "queries/s", _later(self._statement, 2, 32)),
            Variant(ONE_PERSON, "people/s", _later(self._statement, 1, 1)),
            Variant(MANY_PEOPLE, "people/s", _later(self._statement, 1, 50), "in two calls"),
            Variant("statement by pgbench, 8 connections", "queries/s", self._pgbench),
            Variant("audit log, 32 writers", "entries/s", self._append, "each with its receipt"),
        ]
        return http + below

    async def warm_up(self, variants: list[Variant]) -> None:
        """One short sample of each, thrown away."""
        self.seconds = min(_WARM_UP_SECONDS, self.options.seconds)
        for variant in variants:
            await variant.measure()
        self.seconds = self.options.seconds

    async def _hub(self, connections: int, document: str) -> dict[str, float]:
        # A token lives five minutes; a fresh one before it could run out, outside the measured time.
        marks = ['"receipt":{', '"__typename":"BorrowerProfile"', '"countyName":' if document == "FULL" else '"data":']
        token = await self.caller.bearer()
        result = await self._ask(self.hub, self.stage.settings.port, "/graphql", connections, document, marks, token)
        self.answered += int(result["answered"])
        return _figures(result)

    async def _peer(self, connections: int, path: str) -> dict[str, float]:
        marks = ['"__typename":"BorrowerProfile"', '"countyName":']
        return _figures(await self._ask(self.peer, self.peer_port, path, connections, "FULL", marks, ""))

    async def _ask(
        self, server: Child, port: int, path: str, connections: int, document: str, marks: list[str], token: str
    ) -> dict[str, Any]:
        before = cpu_seconds(server.pid), database_cpu_seconds(self.stage.server)
        result = await self.client.ask(
            {
                "host": "127.0.0.1",
                "port": port,
                "path": path,
                "headers": _headers(token),
                "bodies": self.bodies[document],
                "first": self.next,
                "concurrency": connections,
                "seconds": self.seconds,
                "marks": marks,
            }
        )
        after = cpu_seconds(server.pid), database_cpu_seconds(self.stage.server)
        self.next = result["next"]
        if result["errors"]:
            # The data are synthetic, so a reply may be shown.
            what = f"{result['errors']} replies of {path} were not as they should be"
            raise RuntimeError(f"{what}; the first: {result['first_error'][:500]}")
        for name, began, ended in zip(("server_ms", "database_ms"), before, after, strict=True):
            result[name] = 1000 * (ended - began) / max(1, result["answered"])
        return result

    async def _statement(self, connections: int, batch: int) -> dict[str, float]:
        job = {"kind": "statement", "database": STATEMENT, "concurrency": connections, "batch": batch}
        return await self.worker.ask({**job, "seconds": self.seconds})

    async def _pgbench(self) -> dict[str, float]:
        database = self.stage.database.named(STATEMENT)
        count = len(self.stage.borrowers)
        return await by_pgbench(self.stage.server, database, count=count, concurrency=8, seconds=self.seconds)

    async def _append(self) -> dict[str, float]:
        persons = [str(borrower.person_id) for borrower in self.stage.borrowers]
        job = {"kind": "append", "database": LOG, "concurrency": 32, "persons": persons}
        return await self.worker.ask({**job, "seconds": self.seconds})

    async def facts(self) -> dict[str, Any]:
        """What is known besides rates. Raises :class:`RuntimeError` if an answer left without its entry."""
        entries, size = await log_size(self.stage.database)
        before, size_before = self.log_before
        if entries - before < self.answered:
            raise RuntimeError(f"{self.answered} answers left, but only {entries - before} entries were recorded")
        return {
            "leaf values per answer": round(self.compared["leaves"]),
            "bytes of data per answer": round(self.compared["bytes"]),
            "answers that left / entries recorded": f"{self.answered} / {entries - before}",
            "bytes of audit log per query": round((size - size_before) / max(1, entries - before)),
            "memory of the hub's server, MiB": round(self.hub.rss() / 2**20),
            "memory of the peer's server, MiB": round(self.peer.rss() / 2**20),
            "memory of the database, MiB": round(database_memory(self.stage.server) / 2**20),
        }


def _name(what: str, connections: int) -> str:
    return f"{what}, {connections} connection{'s' if connections > 1 else ''}"


def _later(measure: Any, *arguments: Any) -> Any:
    return lambda: measure(*arguments)


def _figures(result: dict[str, Any]) -> dict[str, float]:
    return {name: float(result[name]) for name in ("rate", "p50_ms", "p99_ms", "server_ms", "database_ms")}


def _headers(token: str) -> dict[str, str]:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    return headers | ({"Authorization": f"Bearer {token}"} if token else {})


def _comparable(reply: dict[str, Any]) -> dict[str, Any]:
    """The profile without what must differ: ids and the instant of reading."""
    profile: dict[str, Any] = reply["data"]["borrowerProfile"]
    shown = {name: value for name, value in profile.items() if name not in ("borrowerId", "asOf")}
    adults = [{k: v for k, v in adult.items() if k != "borrowerId"} for adult in profile["otherAdults"]]
    return shown | {"otherAdults": sorted(adults, key=lambda adult: adult["maskedIdNumber"] or "")}
