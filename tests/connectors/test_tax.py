"""The tax connector against a real web service: the samples, the walk, tokens, trouble on the way."""

import asyncio
import gzip
import json
import time
from collections import Counter
from pathlib import Path

import pytest
from starlette.responses import JSONResponse, Response

from hub.connectors.agencies import tax as tax_module
from hub.connectors.agencies.tax import TOKEN_SPARE_SECONDS, VISIBLE_AFTER
from hub.connectors.transport import backoff
from hub.core.errors import SourceError
from hub.core.names import Category, QuarantineReason
from tests.connectors.clinic_agency import NOW, SAMPLES
from tests.connectors.tax_agency import (
    HIGH_WATERMARK,
    down,
    envelope,
    record,
    refusal,
    rows_of,
    sample_page,
    tax_bureau,
)
from tests.connectors.tls_parties import Authority


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Backoff in thousandths, so that the tests wait for nothing but what an agency asks."""
    monkeypatch.setattr(backoff, "FIRST_DELAY", 0.001)


def samples(query: dict[str, str]) -> Response:
    return sample_page(2 if query.get("cursor") == "c-8d1f" else 1)


async def test_the_published_samples_come_out_as_the_bureau_says(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, samples, authority=Authority(tmp_path, "ours")) as bureau:
        steps = await bureau.pull()
    assert bureau.calls == [{"limit": "500"}, {"cursor": "c-8d1f"}]
    assert [step.watermark for step in steps] == [None, {"updated_since": "2026-10-20T05:55:00.000+08:00"}]
    registration, grade, older, again, band, wrong, arrears, tombstone = rows_of(steps)
    assert registration.source_key == "10253310300000000017|DJ|0"
    assert registration.dropped == ("mz",)
    assert registration.value == {
        "taxpayer_id": "92533103MA6K123458",
        "taxpayer_name": "岩保农产品经营部",
        "taxpayer_status": "NORMAL",
    }
    assert (grade.category, grade.value) == (Category.TAX_GRADE, {"grade_year": 2025, "tax_credit_grade": "B"})
    assert (grade.version, grade.version_rank, grade.content) == ("3", 3, again.content)
    assert older.source_key == grade.source_key
    assert older.version_rank < grade.version_rank
    assert band.dropped == ("sjnse",)
    assert band.value == {"tax_paid_band": "2", "declared_income_band": "2", "authorisation_no": "SQ202600001"}
    assert wrong.reasons == (QuarantineReason.ID_CHECK_DIGIT, QuarantineReason.UNKNOWN_CODE)
    assert arrears.reasons == (QuarantineReason.ADVERSE_NOTICE_MISSING,)
    assert arrears.adverse
    assert tombstone.tombstone
    assert tombstone.reasons == ()
    assert {row.origin for row in steps[1].rows} == {"page 2"}
    assert not [row for row in rows_of(steps) if "1834.2" in repr(row) or '"mz"' in repr(row)]


async def test_a_later_pull_begins_where_the_last_one_says(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, lambda _: envelope([], None)) as bureau:
        first = await bureau.pull()
        second = await bureau.pull(first[-1].watermark)
    assert bureau.calls[1] == {"updated_since": "2026-10-20T05:55:00.000+08:00", "limit": "500"}
    assert second[-1].watermark == first[-1].watermark


async def test_a_clock_that_runs_ahead_does_not_make_the_next_pull_miss_rows(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, lambda _: envelope([], None, "9000-01-01T00:00:00+08:00")) as bureau:
        steps = await bureau.pull()
    assert steps[-1].watermark == {"updated_since": (NOW - VISIBLE_AFTER).isoformat(timespec="milliseconds")}


async def test_an_expired_cursor_begins_the_walk_again(tmp_path: Path) -> None:
    cursors_to_drop = ["c-8d1f"]

    def answer(query: dict[str, str]) -> Response:
        if query.get("cursor") in cursors_to_drop:
            cursors_to_drop.clear()
            return refusal("E2001")
        return samples(query)

    start = "2026-10-01T00:00:00.000+08:00"
    async with tax_bureau(tmp_path, answer) as bureau:
        steps = await bureau.pull({"updated_since": start})
    first, later = {"updated_since": start, "limit": "500"}, {"cursor": "c-8d1f"}
    assert bureau.calls == [first, later, first, later]
    assert len(rows_of(steps)) == 3 + 8
    assert [step.watermark is None for step in steps] == [True, True, False]


async def test_cursors_that_always_expire_end_the_pull_without_a_watermark(tmp_path: Path) -> None:
    def answer(query: dict[str, str]) -> Response:
        return refusal("E2001") if "cursor" in query else sample_page(1)

    async with tax_bureau(tmp_path, answer) as bureau:
        with pytest.raises(SourceError, match="dropped the cursor"):
            await bureau.pull()
    assert len(bureau.calls) == 12


async def test_busy_answers_are_tried_again_and_retry_after_is_obeyed(tmp_path: Path) -> None:
    busy = Response((SAMPLES / "tax_busy.json").read_bytes())
    trouble = [down(429, Retry_After="1"), down(), busy]

    def answer(query: dict[str, str]) -> Response:
        return trouble.pop(0) if trouble else samples(query)

    began = asyncio.get_running_loop().time()
    async with tax_bureau(tmp_path, answer) as bureau:
        bureau.token_answers = [down()]
        steps = await bureau.pull(max_retries=3)
    assert asyncio.get_running_loop().time() - began >= 1
    assert len(rows_of(steps)) == 8


async def test_a_service_that_stays_busy_fails_after_the_retries(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, lambda _: down()) as bureau:
        with pytest.raises(SourceError, match="HTTP 503"):
            await bureau.pull(max_retries=2)
    assert len(bureau.calls) == 3


async def test_html_with_status_200_is_overload_too(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, lambda _: down(200)) as bureau:
        with pytest.raises(SourceError, match="did not answer in JSON"):
            await bureau.pull(max_retries=1)
    assert len(bureau.calls) == 2


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda: refusal("E1001"), "code E1001"),
        (lambda: refusal("0000"), "documented envelope"),
        (lambda: JSONResponse({"code": 5}), "documented envelope"),
        (lambda: JSONResponse({"code": "0000", "data": {"records": 5}}), "list of records"),
        (lambda: envelope([], None, "yesterday"), "high_watermark"),
        (lambda: envelope([], None, "2026-10-20T06:00:00"), "high_watermark"),
        (lambda: envelope([], "again"), "used before"),
        (lambda: down(404), "HTTP 404"),
        (lambda: Response(status_code=302, headers={"Location": "https://example.org/"}), "HTTP 302"),
    ],
)
async def test_a_broken_interface_is_one_sentence_and_no_watermark(tmp_path: Path, answer, sentence: str) -> None:
    async with tax_bureau(tmp_path, lambda _: answer()) as bureau:
        with pytest.raises(SourceError, match=sentence):
            await bureau.pull()


@pytest.mark.parametrize("coding", ["gzip, gzip", "br", "zstd", "identity, deflate, gzip"])
async def test_an_answer_packed_more_than_once_or_oddly_is_not_unpacked(tmp_path: Path, coding: str) -> None:
    packed = gzip.compress(gzip.compress(b" " * 1_000_000))
    async with tax_bureau(tmp_path, lambda _: Response(packed, headers={"Content-Encoding": coding})) as bureau:
        with pytest.raises(SourceError, match="packs its answer"):
            await bureau.pull()
    assert len(bureau.calls) == 1


async def test_an_answer_packed_as_asked_for_is_read(tmp_path: Path) -> None:
    def answer(_: dict[str, str]) -> Response:
        plain = sample_page(2)
        return Response(gzip.compress(bytes(plain.body)), headers={"Content-Encoding": "gzip"})

    async with tax_bureau(tmp_path, answer) as bureau:
        (step,) = await bureau.pull()
    assert step.rows


async def test_a_revoked_token_is_replaced_once(tmp_path: Path) -> None:
    def answer(query: dict[str, str]) -> Response:
        bureau.revoked.add("token-0")
        return samples(query)

    async with tax_bureau(tmp_path, answer) as bureau:
        steps = await bureau.pull()
    assert len(rows_of(steps)) == 8
    assert bureau.tokens == ["token-0", "token-1"]


async def test_a_second_refused_token_in_a_row_is_permanent(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, samples) as bureau:
        bureau.revoked = {"token-0", "token-1"}
        with pytest.raises(SourceError, match="two fresh tokens"):
            await bureau.pull()
    assert bureau.calls == []
    assert len(bureau.tokens) == 2


async def test_tokens_are_replaced_before_they_expire(tmp_path: Path) -> None:
    def answer(query: dict[str, str]) -> Response:
        if "cursor" not in query:
            time.sleep(1.1)
        return samples(query)

    async with tax_bureau(tmp_path, answer) as bureau:
        bureau.token_lifetime = TOKEN_SPARE_SECONDS + 1
        steps = await bureau.pull()
    assert len(rows_of(steps)) == 8
    assert bureau.tokens == ["token-0", "token-1"]


async def test_wrong_credentials_are_permanent_and_stay_secret(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, samples) as bureau:
        source = bureau.source()
        (tmp_path / "wrong").write_text("another-secret")
        with pytest.raises(SourceError, match="HTTP 401") as refused:
            await bureau.pull(client_secret_file=tmp_path / "wrong")
    assert "another-secret" not in str(refused.value)
    assert source.client_secret_file.exists()
    assert bureau.tokens == []


async def test_only_the_sources_own_authority_is_trusted(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path, "ours"), Authority(tmp_path, "other")
    async with tax_bureau(tmp_path, samples, authority=ours) as bureau:
        with pytest.raises(SourceError, match=r"certificate of 127\.0\.0\.1:") as refused:
            await bureau.pull(ca_file=other.ca_file)
    assert refused.value.code == "SOURCE_CERTIFICATE"
    assert bureau.tokens == []


async def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    issue = authority.issue
    authority.issue = lambda name: issue(name, address="127.0.0.9")  # type: ignore[method-assign]
    async with tax_bureau(tmp_path, samples, authority=authority) as bureau:
        with pytest.raises(SourceError, match=r"certificate of 127\.0\.0\.1:"):
            await bureau.pull()
    assert bureau.tokens == []


async def test_a_plain_server_behind_https_is_a_clear_failure(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "ours")
    async with tax_bureau(tmp_path, samples) as bureau:
        url = f"https://127.0.0.1:{bureau.port}"
        with pytest.raises(SourceError, match="encrypted connection"):
            await bureau.pull(token_url=url, ca_file=authority.ca_file)


async def test_a_service_that_is_not_there_is_a_clear_failure(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, samples) as bureau:
        pass
    with pytest.raises(SourceError, match="could not be reached"):
        await bureau.pull(max_retries=1)


async def test_a_second_delivery_of_an_unreadable_record_has_the_same_key(tmp_path: Path) -> None:
    broken = record()
    del broken["ywbh"]
    pages = [[record(), broken, 5, record(ver="3")], [5, broken]]

    async with tax_bureau(tmp_path, lambda _: envelope(pages.pop(0), None)) as bureau:
        first, second = rows_of(await bureau.pull()), rows_of(await bureau.pull())
    assert [row.reasons for row in first[1:]] == [(QuarantineReason.ROW_UNREADABLE,)] * 3
    assert Counter((row.source_key, row.content) for row in second) == Counter(
        (row.source_key, row.content) for row in first[1:3]
    )
    assert first[3].source_key == first[0].source_key


async def test_pace_keeps_under_the_limit(tmp_path: Path) -> None:
    moments: list[float] = []

    def answer(query: dict[str, str]) -> Response:
        moments.append(asyncio.get_running_loop().time())
        number = int(query.get("cursor", "0"))
        return envelope([], str(number + 1) if number < 9 else None)

    async with tax_bureau(tmp_path, answer) as bureau:
        await bureau.pull()
    assert len(moments) == 10
    assert max(sum(1 for m in moments if start <= m < start + 1) for start in moments) <= 10
    assert moments[-1] - moments[0] > 1


def test_the_sample_of_a_busy_answer_is_what_the_tests_use() -> None:
    assert json.loads((SAMPLES / "tax_busy.json").read_bytes())["code"] == "E9000"
    assert HIGH_WATERMARK in (SAMPLES / "tax_page2.json").read_text(encoding="utf-8")


async def test_cursors_that_are_always_new_end_the_walk_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tax_module, "PAGES_MAX", 4)
    async with tax_bureau(tmp_path, lambda query: envelope([], f"c{query.get('cursor', '')}")) as bureau:
        with pytest.raises(SourceError, match="does not end after 4 pages"):
            await bureau.pull()
    assert len(bureau.calls) == 4


async def test_a_page_of_more_records_than_asked_for_is_not_used(tmp_path: Path) -> None:
    async with tax_bureau(tmp_path, lambda _: envelope([1] * 501, None)) as bureau:
        with pytest.raises(SourceError, match="more than the 500 records"):
            await bureau.pull()
