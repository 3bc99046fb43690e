"""The social-security connector against the published view on a real PostgreSQL behind TLS."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from hub.connectors.agencies.social import SocialConnector
from hub.connectors.transport import backoff
from hub.core.errors import SourceError
from hub.core.names import QuarantineReason
from hub.core.rows import CheckedRow, Step
from hub.store.server import EmbeddedServer
from tests.connectors.clinic_agency import NOW, Remembered
from tests.connectors.social_agency import bureau
from tests.connectors.tls_parties import Authority

MORNING = datetime.fromisoformat("2026-10-19T02:00:00")


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.001)


@pytest.fixture
async def front(server: EmbeddedServer) -> EmbeddedServer:
    """The run's server, running."""
    await server.start()
    return server


def rows_of(steps: list[Step]) -> list[CheckedRow]:
    return [row for step in steps for row in step.rows]


async def test_the_published_samples_come_out_as_the_bureau_says(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path, authority=Authority(tmp_path, "ours")) as agency:
        await agency.load_samples()
        (step,) = await agency.pull()
    assert agency.proxy.encrypted == agency.proxy.connections == 1
    assert step.watermark == {"aae036": "2026-10-19T02:00:01"}
    resident, medical, repaired, lost, impossible, withdrawn = step.rows
    assert [row.reasons for row in (resident, medical, repaired, withdrawn)] == [()] * 4
    assert resident.source_key == "53310000000001|170"
    assert resident.version == medical.version == "2026-10-19T02:00:00+08:00"
    assert resident.version_rank == medical.version_rank < lost.version_rank
    assert resident.value == {
        "insurance_type": "170",
        "enrol_status": "ACTIVE",
        "paid_months": 96,
        "arrears_months": 0,
        "latest_period": "2026-09",
        "employer_uscc": None,
    }
    assert medical.value["arrears_months"] == 0
    assert (repaired.name, repaired.id_number, repaired.repaired) == ("思月", "533121196207053021", ("aac003",))
    assert repaired.value["enrol_status"] == "ENDED"
    assert lost.reasons == (QuarantineReason.TEXT_UNREADABLE,)
    assert impossible.reasons == (QuarantineReason.BAD_DATE,)
    assert (withdrawn.tombstone, withdrawn.source_key) == (True, "53310000000005|110")
    assert {row.dropped for row in step.rows} == {()}


async def test_thousands_of_tied_rows_are_paged_without_loss(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.fill(2_500, MORNING)
        steps = await agency.pull()
    assert [len(step.rows) for step in steps] == [1000, 1000, 500]
    assert len({row.source_key for row in rows_of(steps)}) == 2_500


async def test_a_later_pull_reads_the_last_fifteen_minutes_again(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.fill(60, MORNING, timedelta(minutes=1))
        first = await agency.pull()
        assert first[-1].watermark == {"aae036": "2026-10-19T03:00:00"}
        await agency.insert(aac001="LATE", aae140="170", aae100="0", aae036="2026-10-19 02:46:00")
        await agency.insert(aac001="TOO_LATE", aae140="170", aae100="0", aae036="2026-10-19 02:44:59")
        second = await agency.pull(first[-1].watermark)
    keys = {row.source_key for row in rows_of(second)}
    assert "LATE|170" in keys
    assert "TOO_LATE|170" not in keys
    assert len(keys) == 17
    assert second[-1].watermark == first[-1].watermark


async def test_the_watermark_never_goes_back(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.fill(1_500, MORNING - timedelta(minutes=10))
        steps = await agency.pull({"aae036": MORNING.isoformat()})
    assert [step.watermark for step in steps] == [{"aae036": MORNING.isoformat()}] * 2


async def test_a_row_from_the_future_does_not_carry_the_watermark_away(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.insert(aac001="F", aae140="170", aae100="0", aae036="2099-01-01 00:00:00")
        (step,) = await agency.pull()
        assert step.watermark is not None
        assert step.watermark["aae036"] < "2099"
        await agency.insert(aac001="N", aae140="170", aae100="0", aae036=step.watermark["aae036"])
        later = await agency.pull(step.watermark)
    assert {row.source_key for row in rows_of(later)} == {"F|170", "N|170"}


async def test_rows_that_change_while_the_pull_runs_wait_for_the_next_one(
    front: EmbeddedServer, tmp_path: Path
) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.fill(1_500, MORNING)
        connector = SocialConnector(agency.source())
        steps = []
        async for step in connector.pull(None, Remembered(), lambda: NOW):
            steps.append(step)
            if len(steps) == 1:
                # A long pull: meanwhile time goes on by half an hour, and an older row becomes visible behind it.
                await agency.insert(aac001="NEW", aae140="170", aae100="0", aae036="2026-10-19 02:30:00")
                await agency.insert(aac001="A_LATE", aae140="170", aae100="0", aae036="2026-10-19 01:50:00")
        await connector.close()
        later = await agency.pull(steps[-1].watermark)
    assert len(rows_of(steps)) == 1_500
    assert {"NEW|170", "A_LATE|170"} <= {row.source_key for row in rows_of(later)}


async def test_an_empty_view_gives_no_step(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        assert await agency.pull() == []


async def test_cut_connections_are_opened_again(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path, authority=Authority(tmp_path, "ours")) as agency:
        await agency.fill(2_500, MORNING)
        agency.proxy.cut_after = [20_000, 0, 150_000]
        steps = await agency.pull()
    assert len({row.source_key for row in rows_of(steps)}) == len(rows_of(steps)) == 2_500
    assert agency.proxy.connections >= 4


async def test_a_machine_that_always_cuts_fails_after_the_retries(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        agency.proxy.cut_after = [0] * 10
        with pytest.raises(SourceError, match="broke the connection"):
            await agency.pull(max_retries=2)
    assert agency.proxy.connections == 3


async def test_too_many_connections_are_waited_for(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.fill(1, MORNING)
        held = [
            await asyncpg.connect(
                host="127.0.0.1",
                port=agency.port,
                user="hub_reader",
                password="reader-s3cr3t",
                database=agency.database,
                ssl=False,
            )
            for _ in range(2)
        ]
        with pytest.raises(SourceError, match="could not be reached"):
            await agency.pull(max_retries=1)
        release = asyncio.get_running_loop().call_later(0.2, held[0].terminate)
        steps = await agency.pull(max_retries=20)
        held[1].terminate()
        release.cancel()
    assert len(rows_of(steps)) == 1


async def test_a_slow_statement_is_tried_again_and_then_one_sentence(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.fill(1, MORNING)
        async with agency.owner.transaction():
            await agency.owner.execute("LOCK TABLE share.ac_insured_copy IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(SourceError, match="did not answer in time"):
                await agency.pull(max_retries=1, timeout_seconds=0.2)


@pytest.mark.parametrize(
    ("changes", "sqlstate"),
    [({"database": "nowhere"}, "3D000"), ({"user": "nobody"}, "28"), ({"password_file": "wrong"}, "28P01")],
)
async def test_refusals_are_permanent_and_say_no_secret(
    front: EmbeddedServer, tmp_path: Path, changes: dict[str, object], sqlstate: str
) -> None:
    (tmp_path / "wrong").write_text("wrong-s3cr3t")
    if "password_file" in changes:
        changes = {"password_file": tmp_path / "wrong"}
    async with bureau(front, tmp_path) as agency:
        with pytest.raises(SourceError, match=f"SQLSTATE {sqlstate}") as refused:
            await agency.pull(**changes)
    assert agency.proxy.connections == 1
    assert "s3cr3t" not in str(refused.value)


async def test_a_changed_view_is_permanent(front: EmbeddedServer, tmp_path: Path) -> None:
    async with bureau(front, tmp_path) as agency:
        await agency.owner.execute("REVOKE SELECT (aac003) ON share.v_ac_insured FROM hub_reader")
        await agency.fill(1, MORNING)
        with pytest.raises(SourceError, match="SQLSTATE 42501"):
            await agency.pull()


async def test_only_the_sources_own_authority_is_trusted(front: EmbeddedServer, tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    async with bureau(front, tmp_path, authority=ours) as agency:
        await agency.fill(1, MORNING)
        with pytest.raises(SourceError, match="is not trusted") as refused:
            await agency.pull(ca_file=other.ca_file, allow_plain_loopback=True)
    assert refused.value.code == "SOURCE_CERTIFICATE"
    assert agency.proxy.connections == 1


async def test_a_machine_without_tls_is_refused_unless_plain_loopback_is_allowed(
    front: EmbeddedServer, tmp_path: Path
) -> None:
    authority = Authority(tmp_path, "ours")
    async with bureau(front, tmp_path) as agency:
        await agency.fill(1, MORNING)
        with pytest.raises(SourceError, match="does not offer TLS"):
            await agency.pull(ca_file=authority.ca_file, allow_plain_loopback=False)
        steps = await agency.pull(ca_file=authority.ca_file, allow_plain_loopback=True)
    assert len(rows_of(steps)) == 1
