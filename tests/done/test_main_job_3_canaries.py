"""Canaries in every forbidden field are found nowhere after real `hub` processes have pulled and shown everything."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.responses import Response

from hub.core.clock import SHANGHAI
from hub.sandbox.sources_file import write_sources
from hub.store.database import DbRole
from tests.connectors import civil_agency
from tests.connectors.tax_agency import envelope
from tests.done.agencies import ADULT, Agencies
from tests.done.canaries import Search, Tag
from tests.done.canary_rows import (
    BANK_FORBIDDEN,
    CHILD,
    CIVIL_FORBIDDEN,
    CLINIC_FORBIDDEN,
    DISABLED,
    GUARANTOR,
    TAIL,
    TAX_FORBIDDEN,
    put_canaries,
    put_social_canaries,
)
from tests.done.hub_process import Ended, HubHome, open_home

NAMES = ("tax", "social", "clinic", "civil", "bank")
DROPPED = {
    "tax": {*TAX_FORBIDDEN, "sqrxx", "#undocumented"},
    "social": set(),
    "clinic": set(CLINIC_FORBIDDEN),
    "civil": {*CIVIL_FORBIDDEN, "sfzjhm_tail"},
    "bank": {*BANK_FORBIDDEN, "guarantors[]"},
}
_SEALED = {
    "payload": "SELECT row_id AS context, payload AS sealed FROM record.observation",
    "hint": "SELECT row_id AS context, hint AS sealed FROM record.observation WHERE hint IS NOT NULL",
    "quarantine": "SELECT row_id AS context, sealed_row AS sealed FROM ingest.quarantine WHERE sealed_row IS NOT NULL",
    "identity": "SELECT person_id AS context, sealed_identity AS sealed FROM record.person",
}


@dataclass
class Carried:
    """What processes that carried canaries left behind: files below ``folders``, and what they said."""

    hub: HubHome
    folder: Path
    said: dict[str, Ended]

    @property
    def folders(self) -> tuple[Path, ...]:
        return self.hub.home, self.hub.server.place.folder, self.folder

    @property
    def spoken(self) -> dict[str, bytes]:
        ended = self.said.items()
        return {f"{what} out": one.out for what, one in ended} | {f"{what} err": one.err for what, one in ended}


@pytest.fixture
async def hub_of_processes(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HubHome]:
    """Its processes use the real clock, and so must the agency that looks at it."""
    monkeypatch.setattr(civil_agency, "NOW", datetime.now(SHANGHAI))
    home = await open_home()
    yield home
    await home.remove()


def _down_now_and_then(agencies: Agencies, page: str) -> Callable[[dict[str, str]], Response]:
    """Every third call fails with this page."""
    calls = iter(range(1000))

    def answer(_: dict[str, str]) -> Response:
        if next(calls) % 3 == 0:
            return Response(f"<html>{page}</html>", 503, media_type="text/html")
        return envelope(agencies.tax_records, None)

    return answer


def _busy(text: str) -> Response:
    """The fault of a busy service, with this text in it."""
    inner = civil_agency.fault("CA-9001").replace("<faultstring>CA-9001<", f"<faultstring>{text}<")
    return Response(inner, 500, media_type="text/xml")


async def _carry(agencies: Agencies, hub: HubHome, folder: Path, never: Tag, kept: Tag) -> Carried:
    """Pull in a process that is killed and in one that is not, with debug logs; then use every other command."""
    put_canaries(agencies, never, kept)
    await put_social_canaries(agencies, never)
    agencies.tax.answer = _down_now_and_then(agencies, never.text("page"))
    agencies.civil.instead.append(_busy(never.text("fault")))
    tables = [(source.name, msgspec.to_builtins(source, enc_hook=str)) for source in agencies.sources()]
    settings = {name: {k: v for k, v in table.items() if k != "name"} for name, table in tables}
    for table in settings.values():
        table["timeout_seconds"] = int(table["timeout_seconds"])
    write_sources(folder / "sources.toml", settings)
    (folder / "tmp").mkdir()
    (folder / "numbers").write_text(f"{ADULT}\n")
    more = {"TMPDIR": str(folder / "tmp"), "HUB_LOG_LEVEL": "debug", "HUB_LOG_FORMAT": "json"}
    pull = ("pull", "--sources", str(folder / "sources.toml"), "--report", str(folder / "report.json"))
    said = {"killed": await hub.run_and_kill(0.7, *pull, **more), "pull": await hub.run(*pull, **more)}
    said["list"] = await hub.run("quarantine", "list", "--json", "--status", "all", **more)
    for name in ("clinic", "bank"):
        out = ("--out", str(folder / f"export-{name}"))
        said[f"export {name}"] = await hub.run("quarantine", "export", "--source", name, *out, **more)
    said["links"] = await hub.run("links", "list", "--source", "clinic", "--json", **more)
    why = ("--purpose", "H", "--reason", "comparison", "--json")
    said["show"] = await hub.run("household", "show", "--id-number-file", str(folder / "numbers"), *why, **more)
    return Carried(hub, folder, said)


async def _rows(hub: HubHome, query: str) -> list[Any]:
    connection = await hub.database.connect(DbRole.OWNER)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


async def _tables(hub: HubHome) -> dict[str, bytes]:
    """The text of every table, so that nothing hides in compressed values."""
    names = await _rows(
        hub,
        "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname !~ '^(pg_|information)'",
    )
    rows = {name["name"]: await _rows(hub, f"SELECT t::text AS row FROM {name['name']} t") for name in names}
    return {name: "\n".join(record["row"] for record in records).encode() for name, records in rows.items()}


async def _opened(hub: HubHome) -> dict[str, bytes]:
    """What lies behind the encryption: nothing forbidden may be there either."""
    keys = hub.keys
    return {
        purpose: b"\n".join(
            keys.open(purpose, record["sealed"], record["context"].bytes) for record in await _rows(hub, query)
        )
        for purpose, query in _SEALED.items()
    }


@pytest.mark.long
async def test_canaries_are_found_nowhere(agencies: Agencies, hub_of_processes: HubHome, tmp_path: Path) -> None:
    never, kept = Tag(), Tag()
    folder = tmp_path / "used"
    folder.mkdir()
    carried = await _carry(agencies, hub_of_processes, folder, never, kept)
    await _assert_all_were_carried(carried)
    admin = await carried.hub.server.connect()
    await admin.execute("CHECKPOINT")
    await admin.close()
    forbidden = Search([never], [DISABLED + TAIL, CHILD, GUARANTOR])
    assert forbidden.in_folders(*carried.folders) == {}
    places = await _opened(carried.hub) | await _tables(carried.hub) | carried.spoken
    assert {place: found for place, data in places.items() if (found := forbidden.in_bytes(data))} == {}
    _assert_the_search_works(carried, Search([kept]), places)
    _assert_id_numbers_are_sealed(carried)


async def _assert_all_were_carried(carried: Carried) -> None:
    """Every forbidden field was met and dropped, and every reason that keeps no content occurred."""
    codes = {what: ended.code for what, ended in carried.said.items()}
    assert codes.pop("killed") in {-9, 1}
    assert codes.pop("pull") in {0, 1}, "files that were refused are reported once, perhaps by the killed run"
    assert set(codes.values()) == {0}, {what: carried.said[what].err for what, code in codes.items() if code}
    report = json.loads((carried.folder / "report.json").read_bytes())
    assert {name: source["error"] for name, source in report["sources"].items()} == dict.fromkeys(NAMES)
    dropped: dict[str, set[str]] = {name: set() for name in NAMES}
    for record in await _rows(carried.hub, "SELECT source, dropped_fields FROM ingest.run_source"):
        dropped[record["source"]] |= set(json.loads(record["dropped_fields"]))
    assert dropped == DROPPED
    found = {entry["reason"] for entry in map(json.loads, carried.said["list"].out.splitlines())}
    assert found >= {"FORBIDDEN_RECORD", "MINOR_SUBJECT", "ADVERSE_EXPIRED", "ROW_UNREADABLE"}


def _assert_the_search_works(carried: Carried, kept: Search, places: dict[str, bytes]) -> None:
    """Words of the same make in fields that are kept are found by the same search, in every kind of place."""
    data = carried.hub.server.place.data
    assert kept.in_folders(data / "base")
    assert kept.in_folders(data / "pg_wal")
    assert kept.in_folders(carried.folder).keys() >= {str(carried.folder / "export-clinic")}
    for place in ("payload", "quarantine", "record.section", "ingest.held_row", "list out", "show out"):
        assert kept.in_bytes(places[place]), place


def _assert_id_numbers_are_sealed(carried: Carried) -> None:
    """The ID number of somebody whom the hub knows stands in clear only in what a steward gave or was given."""
    found = set(Search([], [ADULT]).in_folders(*carried.folders))
    exports = {str(path) for path in carried.folder.glob("export-*")}
    assert found - exports == {str(carried.folder / "numbers")}
    assert found & exports
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in carried.folder.glob("export-*"))


@pytest.mark.parametrize("text", ["knrwordword", "㐀㐁㐂㐃", "1234567890"])
def test_the_search_finds_every_spelling(text: str) -> None:
    search, plain = Search([], [text]), text.encode()
    spellings = [
        plain,
        text.upper().encode(),
        text.encode("gb18030"),
        text.encode("utf-16"),
        plain.hex().upper().encode(),
    ]
    for spelling in (*spellings, json.dumps(text).encode()):
        assert search.in_bytes(b"before " + spelling + b" after")
    assert search.in_bytes(b"before and after") == []
