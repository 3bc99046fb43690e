"""``hub doctor``: looks at the whole set-up and says in plain words what is wrong and how to mend it."""

import errno
import json
import os
import shutil
import socket
import stat
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import asyncpg
import httpx
import typer

from hub.cli.doctor_people import check_people
from hub.cli.finding import Finding
from hub.cli.session import read_settings, run, tell
from hub.core.errors import HubError, SettingsError
from hub.flows.rules.assessments import not_assessed
from hub.settings import Settings
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.migrate import current_revision, newest_revision
from hub.store.place import place_under
from hub.store.prepare import prepare

_MIN_FREE = 2 * 1024**3
_MAX_SKEW = 2.0
_PROBE_SECONDS = 2.0

app = typer.Typer(help="Check the set-up.")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per check.")] = False,
) -> None:
    """Check settings, folders, keys, disk, database, clock and port; exit code 1 if anything has to be mended."""
    findings = run(examine())
    for finding in findings:
        if as_json:
            print(json.dumps(asdict(finding), ensure_ascii=False))
            continue
        word = "BAD " if not finding.good else "warn" if finding.remedy else "good"
        print(f"{word}  {finding.check}: {finding.message}")
        if finding.remedy:
            print(f"      {finding.remedy}")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


async def examine() -> list[Finding]:
    """All findings, in the order in which they should be mended. A check that cannot go on is a finding itself."""
    try:
        settings = read_settings()
    except SettingsError as error:
        return [Finding("settings", False, error.message, error.remedy)]
    findings = [Finding("settings", True, "all settings can be read.")]
    findings.append(check_home(settings.home))
    if not findings[-1].good:
        return findings
    findings += [check_keys(settings.keys_folder), check_disk(_data_folder(settings))]
    findings += await check_database(settings)
    findings.append(check_port(settings.host, settings.port))
    return findings


def _data_folder(settings: Settings) -> Path:
    return settings.home if settings.database_url is not None else place_under(settings.home.resolve()).folder


def check_home(home: Path) -> Finding:
    """Whether HUB_HOME can be written to and belongs to this user."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = home / f".doctor-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Finding(
            "folder",
            False,
            f"HUB_HOME {home} cannot be written to: {error.strerror}.",
            "Give the folder to the hub's user, or set HUB_HOME to another one.",
        )
    if (owner := home.stat().st_uid) != os.geteuid():
        return Finding(
            "folder",
            False,
            f"HUB_HOME {home} belongs to user number {owner}, the hub runs as {os.geteuid()}.",
            "Run the hub as the owner of the folder; files of two users in one folder lock each other out.",
        )
    return Finding("folder", True, f"{home} can be written to.")


def check_keys(folder: Path) -> Finding:
    """Whether the secrets are readable by this user only, and whole."""
    try:
        FileKeys(folder)
    except HubError as error:
        return Finding("keys", False, error.message, error.remedy)
    except OSError as error:
        return Finding(
            "keys", False, f"the key folder {folder} cannot be read: {error.strerror}.", "Give it to the hub's user."
        )
    for path in sorted(folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            return Finding(
                "keys",
                False,
                f"the key file {path} can be read by others (mode {mode:04o}).",
                f"Run `chmod {'700' if path.is_dir() else '600'} {path}`, and change that key if others had access.",
            )
    return Finding("keys", True, "the key files are whole and readable by the hub's user only.")


def check_disk(folder: Path) -> Finding:
    """Whether there is room left where the data lie."""
    free = shutil.disk_usage(folder).free
    room = f"{free / 1024**3:.1f} GB are free under {folder}"
    if free < _MIN_FREE:
        return Finding("disk", False, f"only {room}.", f"Free at least {_MIN_FREE // 1024**3} GB.")
    return Finding("disk", True, f"{room}.")


async def check_database(settings: Settings) -> list[Finding]:
    """Whether the database answers, is of the right version and revision, and is safe."""
    try:
        database = await prepare(settings.store_options(), tell=tell)
        connection = await database.connect(DbRole.OWNER)
    except HubError as error:
        return [Finding("database", False, error.message, error.remedy)]
    try:
        version = await connection.fetchval("SHOW server_version")
        findings = [
            Finding("database", True, f"PostgreSQL {version} answers at {database.host}."),
            await check_durability(connection),
            await check_roles(connection),
            await check_clock(connection),
            await _check_revision(database),
        ]
        if not findings[-1].good:
            return findings
        return [
            *findings,
            await check_folds(connection),
            await check_assessments(connection, production=settings.is_production),
            *await check_people(connection),
            await check_rotation(connection),
        ]
    finally:
        await connection.close()


async def check_durability(connection: asyncpg.Connection) -> Finding:
    """Whether a committed change survives a loss of power."""
    wanted = {"fsync": {"on"}, "full_page_writes": {"on"}, "synchronous_commit": {"on", "remote_apply", "remote_write"}}
    for name, values in wanted.items():
        found = await connection.fetchval("SELECT current_setting($1)", name)
        if found not in values:
            return Finding(
                "durability",
                False,
                f"the database runs with {name} = {found}: audit entries and consents may be lost with the power.",
                f"Set {name} = on in the server's configuration and restart it (embedded: `hub database stop`).",
            )
    if await connection.fetchval("SHOW data_checksums") != "on":
        return Finding(
            "durability",
            False,
            "the database keeps no data checksums: a damaged disk would go unnoticed.",
            "Stop the server and run `pg_checksums --enable`.",
        )
    return Finding("durability", True, "committed changes are written through to disk, with checksums.")


async def check_roles(connection: asyncpg.Connection) -> Finding:
    """Whether the hub's roles are without power over the server."""
    rows = await connection.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY ($1) "
        "AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) ORDER BY 1",
        [str(role) for role in DbRole],
    )
    if rows:
        name = rows[0][0]
        return Finding(
            "roles",
            False,
            f"the database role {name} has more power than it needs.",
            f"Run `ALTER ROLE {name} NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS`.",
        )
    return Finding("roles", True, "the hub's database roles have no power over the server.")


async def check_clock(connection: asyncpg.Connection) -> Finding:
    """Whether this machine and the database agree on the time."""
    before = datetime.now(UTC)
    there = await connection.fetchval("SELECT clock_timestamp()")
    skew = (there - (before + (datetime.now(UTC) - before) / 2)).total_seconds()
    if abs(skew) > _MAX_SKEW:
        return Finding(
            "clock",
            False,
            f"the database's clock is {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} this machine's.",
            "Let both follow the same time service (NTP): tokens, consents and freshness depend on it.",
        )
    return Finding("clock", True, "this machine and the database agree on the time.")


async def check_folds(connection: asyncpg.Connection) -> Finding:
    """Whether every household could be folded."""
    records = await connection.fetch(
        "SELECT error, count(*) AS number FROM record.unfolded_household GROUP BY error ORDER BY number DESC, error"
    )
    if not records:
        return Finding("records", True, "every household could be folded.")
    kinds = ", ".join(record["error"] for record in records[:3])
    number = sum(record["number"] for record in records)
    return Finding(
        "records",
        False,
        f"{number} {'household' if number == 1 else 'households'} cannot be folded ({kinds}); answers say UNAVAILABLE.",
        "Report this sentence; every run tries them again, so nothing else is to be done after the mending.",
    )


async def check_assessments(connection: asyncpg.Connection, *, production: bool) -> Finding:
    """Whether the impact assessment of every source that was ever pulled is on record; production demands it."""
    sources = [row[0] for row in await connection.fetch("SELECT source FROM ingest.source_state ORDER BY source")]
    missing = await not_assessed(connection, sources)
    if not missing:
        return Finding("assessments", True, "every source that was pulled has an impact assessment on record.")
    return Finding(
        "assessments",
        not production,
        f"{len(missing)} of {len(sources)} sources have no impact assessment on record ({', '.join(missing[:5])}).",
        "Put them on record with `hub assessment record`; in production such a source is not pulled.",
    )


async def check_rotation(connection: asyncpg.Connection) -> Finding:
    """Whether a rotation of the keys waits to be finished, or rows were set aside by one (docs/KEYS.md)."""
    if await connection.fetchval("SELECT EXISTS (SELECT FROM keyring.version WHERE state = 'MADE')"):
        return Finding(
            "rotation", False, "a rotation of the keys is not finished; pulls wait for it.", "Run `hub keys reindex`."
        )
    if aside := await connection.fetchval("SELECT count(*) FROM keyring.set_aside"):
        return Finding(
            "rotation",
            False,
            f"{aside} rows could not be brought over to the newest key version.",
            "See keyring.set_aside; restore these rows from a backup of the database and run `hub keys reindex`.",
        )
    drilled = await connection.fetchval("SELECT max(drilled_at) FROM keyring.drill WHERE passed")
    told = "no backup of them was ever proved" if drilled is None else f"the last good drill was on {drilled:%Y-%m-%d}"
    return Finding("rotation", True, f"everything stands under keys in use; {told} (`hub keys drill`).")


async def _check_revision(database: Database) -> Finding:
    found = await current_revision(database)
    if found != newest_revision():
        return Finding(
            "schema",
            False,
            f"the database is at revision {found}, the hub needs {newest_revision()}.",
            "Run `hub database prepare`.",
        )
    return Finding("schema", True, f"the database is at revision {found}, the newest.")


def check_port(host: str, port: int) -> Finding:
    """Whether the API could listen."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return _check_listener(host, port)
        return Finding(
            "port",
            False,
            f"the hub cannot listen on {host} port {port}: {error.strerror}.",
            "Set HUB_HOST or HUB_PORT.",
        )
    return Finding("port", True, f"{host} port {port} is free.")


def _check_listener(host: str, port: int) -> Finding:
    """Whether what listens there already is a hub, and one that can answer."""
    try:
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}/readyz"
        state = httpx.get(address, timeout=_PROBE_SECONDS, trust_env=False).json()
        status, problems = state["status"], state["problems"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return Finding(
            "port",
            False,
            f"another program listens on {host} port {port}.",
            "End it, or set HUB_PORT to a free port.",
        )
    if status != "ready":
        return Finding(
            "port",
            False,
            f"the hub that listens on {host} port {port} cannot answer ({', '.join(problems)}).",
            "See its log; restart it if the cause has passed.",
        )
    return Finding("port", True, f"a hub is serving on {host} port {port}.")
