"""`hub audit verify` names the first altered, missing, reordered or added entry of an exported log; nothing passes."""

import random
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from hub.audit.export import export_bundle
from hub.audit.leaf import Leaf
from hub.audit.tiles import WIDTH, pack_entries, tile_path, tile_widths, unpack_entries
from hub.cli import main
from hub.store.database import Database, DbRole
from tests.done.served import HEAD, NEIGHBOUR, STRANGER, WIFE, Served, served_hub

SIZE = WIDTH + 20
"""More entries than a full tile holds."""

EXIT = {"altered": 11, "missing": 12, "reordered": 13, "added": 14}
PLACES = (0, 100, WIDTH - 1, WIDTH, SIZE - 1)
"""The first, one within the full tile, its last, the first and the last of the incomplete one."""


class Exported:
    """A log of real queries, exported; and the last reply, whose receipt it proves."""

    def __init__(self, folder: Path, reply: Path) -> None:
        self.folder = folder
        self.reply = reply
        self.widths = tile_widths(0, SIZE)

    def copy(self, to: Path) -> "Exported":
        shutil.copytree(self.folder, to)
        return Exported(to, self.reply)

    def _bundles(self) -> list[Path]:
        return [self.folder / tile_path("entries", index, width) for index, width in enumerate(self.widths)]

    def entries(self) -> list[bytes]:
        return [entry for path in self._bundles() for entry in unpack_entries(path.read_bytes())]

    def edit(self, place: int, change: Callable[[list[bytes], int], object]) -> None:
        """Change the entries of the bundle that holds the place, and nothing else."""
        path = self._bundles()[place // WIDTH]
        entries = unpack_entries(path.read_bytes())
        change(entries, place % WIDTH)
        path.write_bytes(pack_entries(entries))


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


async def real_log(served: Served, database: Database, folder: Path) -> Exported:
    """Consents given and taken back, and queries over HTTP until the log has :data:`SIZE` entries."""
    await served.grant(HEAD)
    await served.withdraw(WIFE, await served.grant(WIFE))
    people, size, last = (HEAD, WIFE, NEIGHBOUR, STRANGER), 0, b""
    while size < SIZE:
        reply: httpx.Response = await served.profile("risk-a", people[size % 4])
        size, last = reply.json()["extensions"]["receipt"]["index"] + 1, reply.content
    reply_file = folder / "reply.json"
    reply_file.write_bytes(last)
    conn = await database.connect(DbRole.AUDITOR)
    try:
        report = await export_bundle(conn, folder / "bundle")
    finally:
        await conn.close()
    assert report.size == SIZE
    return Exported(folder / "bundle", reply_file)


def verify(capsys: pytest.CaptureFixture[str], log: Exported, *more: str) -> tuple[int, str]:
    """Run `hub audit verify`; exit code and what it printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["audit", "verify", str(log.folder), *more])
    return int(left.value.code or 0), capsys.readouterr().out


def alter(entries: list[bytes], at: int) -> None:
    entries[at] = replace(Leaf.parse(entries[at]), decision="deny", policy="rules-0").to_bytes()


def reorder(entries: list[bytes], at: int) -> None:
    other = at + 1 if at + 1 < len(entries) else at - 1
    entries[at], entries[other] = entries[other], entries[at]


def add(entries: list[bytes], at: int) -> None:
    entries.insert(at, replace(Leaf.parse(entries[at]), ev=uuid4()).to_bytes())


MANIPULATIONS: dict[str, Callable[[list[bytes], int], object]] = {
    "altered": alter,
    "missing": lambda entries, at: entries.pop(at),
    "reordered": reorder,
    "added": add,
}


@pytest.mark.long
async def test_every_manipulation_is_named_by_kind_and_place(
    served: Served, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = await real_log(served, database, tmp_path)
    code, out = verify(capsys, log, "--receipt", str(log.reply))
    assert (code, f"VERIFIED: {SIZE} entries" in out, f"it proves entry {SIZE - 1}" in out) == (0, True, True)
    for kind, change in MANIPULATIONS.items():
        for place in PLACES:
            copy = log.copy(tmp_path / f"{kind}-{place}")
            copy.edit(place, change)
            first = place - 1 if kind == "reordered" and place in {WIDTH - 1, SIZE - 1} else place
            code, out = verify(capsys, copy)
            assert code == EXIT[kind], (kind, place, out)
            assert f"entry {first}: {kind}" in out, (kind, place, out)
            assert "VERIFIED:" not in out.replace("NOT VERIFIED", "")
    several = log.copy(tmp_path / "several")
    for place in (200, 7, SIZE - 1):
        several.edit(place, alter)
    assert verify(capsys, several)[1].startswith("NOT VERIFIED: entry 7: altered")
    await bytes_are_found(log, tmp_path, capsys)
    lines_are_found(log, tmp_path, capsys)


async def bytes_are_found(log: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One byte is changed at random places of every kind of file."""
    chance = random.Random(5)
    copy = log.copy(tmp_path / "bytes")
    files = sorted(path for path in copy.folder.rglob("*") if path.is_file() and path.stat().st_size)
    offsets = [(path, at) for path in files for at in range(path.stat().st_size)]
    places = chance.sample(offsets, 20) + [(path, chance.randrange(path.stat().st_size)) for path in files]
    for path, at in places:
        content = path.read_bytes()
        spoilt = bytearray(content)
        spoilt[at] ^= 1 << chance.randrange(8)
        path.write_bytes(spoilt)
        code, out = verify(capsys, copy)
        assert code >= 3, (path.name, at, out)
        assert out.startswith("NOT VERIFIED: ")
        path.write_bytes(content)
    assert verify(capsys, copy)[0] == 0


def lines_are_found(log: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A tail that is cut off, in the entries alone or with its head, is missing; a receipt proves it was there."""
    cut = log.copy(tmp_path / "cut")
    shutil.rmtree(cut.folder / Path(tile_path("entries", 1, SIZE - WIDTH)).parent)
    code, out = verify(capsys, cut)
    assert (code, f"entries {WIDTH} to {SIZE - 1}: missing" in out) == (EXIT["missing"], True)


async def test_the_database_itself_is_manipulated(
    served: Served, database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What somebody with the owner's rights does to the stored log is named in the export of it."""
    for _ in range(12):
        await served.profile("risk-a", HEAD)
    await served.owner.execute("ALTER TABLE audit.entry DISABLE TRIGGER ALL")
    conn = await database.connect(DbRole.AUDITOR)
    statements = {
        "entry 4: missing": "DELETE FROM audit.entry WHERE seq = 4",
        "entry 11: missing": "DELETE FROM audit.entry WHERE seq = 11",
        "entry 5: altered": "UPDATE audit.entry SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'deny',"
        " 'mask'), 'UTF8') WHERE seq = 5",
        "entry 2: reordered": "UPDATE audit.entry e SET entry = o.entry, leaf_hash = o.leaf_hash FROM audit.entry o"
        " WHERE (e.seq, o.seq) IN ((2, 7), (7, 2))",
    }
    try:
        for number, (told, statement) in enumerate(statements.items()):
            kept = await served.owner.fetch("SELECT * FROM audit.entry")
            await served.owner.execute(statement)
            await export_bundle(conn, tmp_path / str(number))
            code, out = verify(capsys, Exported(tmp_path / str(number), tmp_path))
            assert (code, told in out) == (EXIT[told.split()[-1]], True), out
            await served.owner.execute("DELETE FROM audit.entry")
            await served.owner.copy_records_to_table("entry", schema_name="audit", records=[tuple(r) for r in kept])
    finally:
        await conn.close()
