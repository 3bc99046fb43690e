"""No ID number, phone or account number of the sandbox stands readable anywhere after the whole story has been told."""

import asyncio
import base64
import os
import re
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.cli.demo.stage import MARKER
from hub.core.clock import system_clock
from hub.sandbox.numbers import has_short_form, short_form
from hub.sandbox.prefecture import Prefecture, yesterday
from hub.store.database import DbRole
from hub.store.prepare import StoreOptions, embedded_database
from hub.store.server import EmbeddedServer

HOUSEHOLDS, SEED = 100, 1

BANK_EXTRAS = {"6217000000000000000", "13900000000"}
"""Account number and phone that the sandbox's banks send though nobody asked (hub/sandbox/feeds/bank_rows.py)."""

_DIGITS = re.compile(rb"[0-9]{10,}[Xx]?")
_HEX = re.compile(rb"(?:3[0-9]){10,}(?:58|78)?")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{14,}")


class Numbers:
    """Finds numbers in bytes: plain, in UTF-16, as hexadecimal digits, in Base64."""

    def __init__(self, numbers: set[str]) -> None:
        self._wanted = {number.upper().encode() for number in numbers}
        self._lengths = sorted({len(number) for number in self._wanted})

    def found_in(self, data: bytes) -> set[bytes]:
        """The numbers that stand in ``data`` in any of these forms."""
        return {number for text in self._readings(data) for number in self._plain(text)}

    def _plain(self, text: bytes) -> Iterator[bytes]:
        for run in _DIGITS.findall(text):
            digits = run.upper()
            for length in self._lengths:
                for start in range(len(digits) - length + 1):
                    if digits[start : start + length] in self._wanted:
                        yield digits[start : start + length]

    def _readings(self, data: bytes) -> Iterator[bytes]:
        yield data
        if b"\0" in data:
            yield data.replace(b"\0", b"")
        for run in _HEX.findall(data):
            yield bytes.fromhex(run.decode())
        for run in _BASE64.findall(data):
            text = run.replace(b"-", b"+").replace(b"_", b"/")
            for start in range(4):
                part = text[start : start + (len(text) - start) // 4 * 4]
                yield base64.b64decode(part)


def numbers_of(prefecture: Prefecture) -> set[str]:
    """Every number that people of the prefecture carry, old ones and short forms too."""
    numbers: set[str] = set()
    for person in prefecture.population.people:
        held = {number for number in (person.id_number, person.old_number) if number}
        numbers |= held | {short_form(number) for number in held if has_short_form(number)}
    for household in {person.household for person in prefecture.population.people}:
        numbers |= {household.phone, household.village.cadre_phone}
    return (numbers | BANK_EXTRAS) - {""}


def test_the_search_finds_every_form() -> None:
    search = Numbers({"53310319800101001X", "13800000001"})
    for planted in (
        b'"53310319800101001x"', "文53310319800101001X".encode("utf-16-le"), b"13800000001".hex().encode(),
        b"ab" + base64.b64encode(b"{name 53310319800101001X}"), b"q" + base64.urlsafe_b64encode(b"?? 13800000001 ??"),
        b"0013800000001",
    ):  # fmt: skip
        assert search.found_in(planted), planted
    assert not search.found_in(b"53310319800101001 1380000000 5331031980010100")


@pytest.fixture
async def told() -> AsyncIterator[tuple[Path, bytes]]:
    """A home in which the story was told, and what the program said."""
    home = Path(tempfile.mkdtemp(prefix=f"hub-tests-{os.getpid()}-"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    environment |= {
        "HUB_HOME": str(home), "HUB_LOG_LEVEL": "debug", "HUB_LOG_FORMAT": "json", "DEMO_EXIT": "1",
        "HUB_PORT": "18917", "HUB_PUBLIC_URL": "http://127.0.0.1:18917",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hub.cli", "demo", "--households", str(HOUSEHOLDS), "--seed", str(SEED),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )  # fmt: skip
    said, _ = await process.communicate()
    try:
        assert process.returncode == 0, said.decode("utf-8", "replace")[-2000:]
        yield home, said
    finally:
        await EmbeddedServer(home).remove()
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.long
async def test_no_number_of_anybody_is_readable_after_the_whole_story(told: tuple[Path, bytes]) -> None:
    home, said = told
    search = Numbers(numbers_of(Prefecture(SEED, HOUSEHOLDS, yesterday(system_clock()))))
    places = {"what the program said": said}
    for path in sorted(home.rglob("*")):
        if path.is_file() and not path.is_relative_to(home / MARKER):
            places[str(path.relative_to(home))] = path.read_bytes()
    server = EmbeddedServer(home)
    places["the database server's log"] = server.place.log.read_bytes()
    assert {place: found for place, data in places.items() if (found := search.found_in(data))} == {}

    # The agencies' own folder is not the hub's; the story's family in it shows that the numbers are the right ones.
    agencies = b"".join(path.read_bytes() for path in (home / MARKER).rglob("*") if path.is_file())
    assert len(search.found_in(agencies)) >= 5

    connection = await embedded_database(server, StoreOptions(home)).connect(DbRole.OWNER)
    try:
        tables = await connection.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
        )
        rows, readable = 0, {}
        for table in tables:
            lines = await connection.fetch(f"SELECT t::text FROM {table['name']} t")
            rows += len(lines)
            if found := search.found_in("\n".join(line[0] for line in lines).encode()):
                readable[table["name"]] = len(found)
    finally:
        await connection.close()
    assert readable == {}
    assert rows > 3000
