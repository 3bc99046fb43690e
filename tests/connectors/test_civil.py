"""The civil affairs service over real TLS and HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from starlette.responses import Response

from hub.connectors.agencies import civil
from hub.connectors.agencies.civil import CivilConnector
from hub.core.errors import HubError, RetryableError, SettingsError, SourceError
from hub.core.names import Category, QuarantineReason
from hub.core.rows import Step
from tests.connectors.civil_agency import AS_OF, FEEDS, NOW, SAMPLES, Agency, element, serve
from tests.connectors.clinic_agency import Remembered
from tests.connectors.tls_parties import Authority


@pytest.fixture
async def agency(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Agency]:
    monkeypatch.setattr(civil, "CALLS_PER_SECOND", 500)  # the agency's own limit is tested apart
    async with serve(tmp_path) as running:
        yield running


def put_samples(agency: Agency) -> None:
    agency.raw = {feed: (SAMPLES / f"civil_{feed}.xml").read_bytes() for feed in FEEDS}


async def test_samples(agency: Agency) -> None:
    put_samples(agency)
    steps = await agency.pull()
    assert [step.walk_ended for step in steps] == list(FEEDS)
    assert [len(step.rows) for step in steps] == [2, 4, 2, 2]
    assert steps[0].watermark == {"households": AS_OF}
    assert steps[3].watermark == dict.fromkeys(FEEDS, AS_OF)
    households, members, relief, events = (step.rows for step in steps)
    assert [row.source_key for row in households] == ["household|H533103000012", "household|H533103002001"]
    assert [row.reasons for row in (*households, *members)] == [()] * 6
    assert [row.dropped for row in members] == [("mz",), ("sfzjhm_tail",), (), ()]
    assert [row.id_number for row in members][1:] == ["533121196207053021", "533123199001011084", None]
    assert "53312119620705302143" not in str(steps)
    assert members[3].value["birth_date"] == "2015-06-01"
    assert (relief[0].category, relief[0].household_no) == (Category.CIVIL_RELIEF, "H533103000012")
    assert relief[0].value["monthly_amount"] == "420.50"
    assert relief[1].reasons == (QuarantineReason.FORBIDDEN_RECORD,)
    assert (relief[1].wire, relief[1].value, relief[1].household_no) == ({}, {}, None)
    assert events[0].reasons == ()
    assert events[0].value["members"] == [
        {"member_no": "C0000124", "relation": "02", "old_id_number": None, "new_id_number": None}
    ]
    assert events[1].reasons == (QuarantineReason.BAD_DATE,)
    assert events[1].origin == "events page 1"


async def test_the_busy_sample_is_tried_again_with_a_fresh_nonce(agency: Agency) -> None:
    put_samples(agency)
    agency.instead = [Response((SAMPLES / "civil_fault.xml").read_bytes(), 500, media_type="text/xml")] * 2
    steps = await agency.pull()
    assert sum(len(step.rows) for step in steps) == 10
    assert len(agency.calls) == len(agency.nonces) == 6


async def test_a_service_that_stays_busy_is_given_up(agency: Agency) -> None:
    agency.instead = ["CA-9001"] * 3
    with pytest.raises(RetryableError, match="CA-9001"):
        await agency.pull()
    assert len(agency.calls) == 3


async def test_http_503_is_tried_again_and_its_retry_after_obeyed(agency: Agency) -> None:
    agency.instead = [Response("busy", 503, headers={"Retry-After": "1"})]
    start = asyncio.get_running_loop().time()
    assert len(await agency.pull()) == 4
    assert asyncio.get_running_loop().time() - start >= 1


async def test_pages_are_walked_in_one_snapshot_one_call_at_a_time(agency: Agency) -> None:
    agency.rows["members"] = [element("member", cybh=f"C{n:05}") for n in range(2_450)]
    steps = await agency.pull()
    members = [step for step in steps if step.rows]
    assert [len(step.rows) for step in members] == [2_000, 450]
    assert [step.watermark is not None for step in members] == [False, True]
    assert [step.walk_ended for step in members] == [None, "members"]
    assert [row.source_key for step in members for row in step.rows] == [f"member|C{n:05}" for n in range(2_450)]
    calls = [call for call in agency.calls if call.feed == "members"]
    assert [call.page_no for call in calls] == list(range(1, 14))
    assert [call.snapshot for call in calls] == [None] + ["5a77"] * 12
    assert agency.most_at_once == 1


async def test_a_full_last_page_is_followed_by_an_empty_one(agency: Agency) -> None:
    agency.rows["households"] = [element("household", hubh=f"H{n}") for n in range(200)]
    steps = await agency.pull()
    assert len(steps[0].rows) == 200
    assert [call.page_no for call in agency.calls if call.feed == "households"] == [1, 2]


async def test_since_is_a_day_before_the_last_snapshot_of_the_feed(agency: Agency) -> None:
    steps = await agency.pull({"households": "2026-10-18T06:00:00+08:00", "events": "2026-10-17T00:00:00Z"})
    assert [call.since for call in agency.calls] == [
        "2026-10-17T06:00:00+08:00", None, None, "2026-10-16T00:00:00Z",
    ]  # fmt: skip
    assert steps[0].watermark == {"households": AS_OF, "events": "2026-10-17T00:00:00Z"}
    again = await agency.pull(steps[-1].watermark)
    assert [call.since for call in agency.calls[4:]] == ["2026-10-19T06:00:00+08:00"] * 4
    assert again[-1].watermark == steps[-1].watermark


async def test_an_expired_snapshot_starts_the_walk_again(agency: Agency) -> None:
    agency.rows["households"] = [element("household", hubh=f"H{n:04}") for n in range(450)]
    agency.expire = [("households", 2), ("households", 3)]
    steps = await agency.pull()
    assert [call.page_no for call in agency.calls if call.feed == "households"] == [1, 2, 1, 2, 3, 1, 2, 3]
    assert [len(step.rows) for step in steps if step.walk_ended == "households"] == [450]


async def test_a_snapshot_that_always_expires_fails_the_source(agency: Agency) -> None:
    agency.rows["households"] = [element("household", hubh=f"H{n:04}") for n in range(450)]
    agency.expire = [("households", 2)] * 9
    steps: list[Step] = []
    with pytest.raises(SourceError, match="lost its snapshot of households"):
        await agency.pull(steps=steps)
    assert len(agency.calls) == 8
    assert all(step.watermark is None for step in steps)


@pytest.mark.parametrize("lie", [-1, 3])
async def test_a_source_that_lies_about_its_count_fails_but_loses_nothing(agency: Agency, lie: int) -> None:
    agency.rows["households"] = [element("household")]
    agency.rows["members"] = [element("member", cybh=f"C{n}") for n in range(5)]
    steps: list[Step] = []
    agency.announce_more = 0
    first = await agency.pull()
    assert first[-1].watermark is not None
    agency.announce_more = lie
    with pytest.raises(SourceError, match=rf"announced {1 + lie} households and delivered 1"):
        await agency.pull(steps=steps)
    assert [row.source_key for step in steps for row in step.rows] == ["household|H1"]
    assert all(step.watermark is None and step.walk_ended is None for step in steps)


async def test_what_was_read_before_a_failure_is_kept(agency: Agency) -> None:
    agency.rows["households"] = [element("household")]
    agency.rows["members"] = [element("member", cybh=f"C{n:04}") for n in range(500)]
    agency.instead = []
    original = agency._answer

    def failing(body: bytes, action: str) -> Response:
        answer = original(body, action)
        call = agency.calls[-1]
        return Response("gone", 404) if (call.feed, call.page_no) == ("members", 3) else answer

    agency._answer = failing  # type: ignore[method-assign]
    steps: list[Step] = []
    with pytest.raises(SourceError, match="HTTP 404"):
        await agency.pull(steps=steps)
    assert [len(step.rows) for step in steps] == [1, 400]
    assert [step.watermark for step in steps] == [{"households": AS_OF}, None]


async def test_a_snapshot_time_in_the_future_does_not_make_the_next_pull_miss_rows(agency: Agency) -> None:
    put_samples(agency)
    agency.raw["households"] = agency.raw["households"].replace(AS_OF.encode(), b"2099-01-01T00:00:00+08:00")
    assert (await agency.pull())[0].watermark == {"households": "2026-10-20T07:00:00+08:00"}


async def test_a_wrong_password_is_permanent(agency: Agency) -> None:
    (agency.folder / "password").write_text("wrong")
    with pytest.raises(SourceError, match="CA-1001") as caught:
        await agency.pull()
    assert not isinstance(caught.value, RetryableError)
    assert len(agency.nonces) == 1
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("code", ["CA-1002", "CA-7777"])
async def test_other_faults_are_permanent(agency: Agency, code: str) -> None:
    agency.instead = [code]
    with pytest.raises(SourceError, match=code) as caught:
        await agency.pull()
    assert not isinstance(caught.value, RetryableError)
    assert len(agency.calls) == 1


async def test_another_authority_is_not_trusted(agency: Agency, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger")
    with pytest.raises(SourceError, match="not trusted for source `civil`") as caught:
        await agency.pull(ca_file=stranger.ca_file)
    assert not isinstance(caught.value, RetryableError)
    assert agency.calls == []


async def test_a_service_that_is_down_is_one_clear_sentence(agency: Agency) -> None:
    with pytest.raises(RetryableError, match="could not be reached"):
        await agency.pull(endpoint_url="https://127.0.0.1:1/services/CivilAffairs", max_retries=0)


async def test_missing_secrets_are_a_settings_error(agency: Agency) -> None:
    with pytest.raises(SettingsError, match="password_file"):
        CivilConnector(agency.source(password_file=agency.folder / "absent"))


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"<html>busy",
        b"not xml at all",
        '<?xml version="1.0" encoding="UTF-16"?><a/>'.encode("utf-16"),
        b"<a/>",
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/></s:Envelope>',
        b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><Other/></s:Body></s:Envelope>',
        b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>',
    ],
)
async def test_rubbish_is_one_clear_sentence(agency: Agency, rubbish: bytes) -> None:
    agency.raw["households"] = rubbish
    with pytest.raises(SourceError, match=f"127.0.0.1:{agency.port}"):
        await agency.pull()
    assert len(agency.calls) == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"<total>2</total>", b"<total>two</total>"),
        (b"<total>2</total>", b""),
        (b"<pageNo>1</pageNo>", b"<pageNo>7</pageNo>"),
        (b"<asOf>2026-10-20T06:00:00+08:00</asOf>", b"<asOf>yesterday</asOf>"),
        (b"<snapshotId>5a77</snapshotId>", b"<snapshotId/>"),
    ],
)
async def test_a_page_without_a_sound_head_is_not_used(agency: Agency, old: bytes, new: bytes) -> None:
    put_samples(agency)
    agency.raw["households"] = agency.raw["households"].replace(old, new)
    with pytest.raises(SourceError, match="no such page"):
        await agency.pull()


async def test_entities_are_never_expanded(agency: Agency, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary-of-the-hub")
    agency.rows["households"] = [element("household", cmc="&x;")]
    put_samples(agency)
    sample = agency.raw["households"].decode().replace("弄坎村", "&x;")
    doctype = f'?>\n<!DOCTYPE x [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
    agency.raw["households"] = sample.replace("?>", doctype, 1).encode()
    with pytest.raises(HubError, match="document type") as caught:
        await agency.pull()
    assert "canary" not in str(caught.value)


async def test_calls_stay_under_the_agencys_limit(tmp_path: Path) -> None:
    async with serve(tmp_path) as agency:
        agency.rows["households"] = [element("household", hubh=f"H{n}") for n in range(1_000)]
        start = asyncio.get_running_loop().time()
        await agency.pull()
        assert len(agency.calls) == 9
        assert asyncio.get_running_loop().time() - start >= 8 / 10


async def test_closing_in_the_middle_leaves_no_call_behind(agency: Agency) -> None:
    agency.rows["households"] = [element("household", hubh=f"H{n:05}") for n in range(5_000)]
    connector = CivilConnector(agency.source())
    steps = connector.pull(None, Remembered(), lambda: NOW)
    assert len((await anext(steps)).rows) == 2_000
    await steps.aclose()
    await connector.close()
    assert not [task for task in asyncio.all_tasks() if "_batch" in repr(task.get_coro())]


async def test_the_day_of_receipt_is_the_clocks(agency: Agency) -> None:
    agency.rows["members"] = [
        element("member", sfzjhm="", csrq="2008-10-20"),
        element("member", sfzjhm="", csrq="2008-10-21", cybh="C2"),
    ]
    rows = [row for step in await agency.pull() for row in step.rows]
    assert [row.reasons for row in rows] == [(QuarantineReason.ID_MISSING,), ()]
    assert date.fromisoformat(rows[1].value["birth_date"]) == date(2008, 10, 21)
