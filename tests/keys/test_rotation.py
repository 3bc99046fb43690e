"""Rotation of the keys over everything that carries one: broken off anywhere, damaged, unmatched, finished."""

import json
from typing import Any

import pytest

from hub.core.errors import AuditError, RefusedError
from hub.flows.keys.rotate_keys import PLACES, key_status, reindex, retire_key, rotate_keys
from hub.store.keyring import refuse_amid_rotation
from hub.store.keys import FileKeys
from hub.store.suites import Algorithm
from tests.keys.holding import DAO, NEW, OLD, Holding
from tests.records.world import grade, number


class BrokenOffError(Exception):
    """As if the process were killed."""


_LOG_KEYS = "audit.data_key.wrapped"


def without_log(opened: dict[str, list[bytes]]) -> dict[str, list[bytes]]:
    """Without the keys of the log, which gets one for each operator, also of a rotation."""
    return {name: texts for name, texts in opened.items() if name != _LOG_KEYS}


def breaking_after(batches: int) -> Any:
    left = batches

    def watch(place: str, rows: int) -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            raise BrokenOffError(place)

    return watch


async def test_every_place_of_the_list_is_filled(holding: Holding) -> None:
    """Otherwise the tests below would not see a place that the job forgets."""
    empty = {name for name, texts in (await holding.opened()).items() if not texts}
    # Keys of the log are made when the first entry about a person is; one is in the next test but one.
    assert empty <= {"audit.data_key.wrapped"}
    assert {name for name, words in (await holding.indexes()).items() if not words} <= {
        "record.past_directory.blind_index"
    }


async def test_broken_off_anywhere_and_run_again_it_ends_in_the_same_state(holding: Holding) -> None:
    before = await holding.opened(), await holding.indexes(), await holding.people()
    assert before[2][OLD] == before[2][NEW] is not None
    assert await rotate_keys(holding.desk, Algorithm.SM4) == 2
    with pytest.raises(RefusedError, match="not finished"):
        await rotate_keys(holding.desk)
    with pytest.raises(RefusedError, match="not finished"):
        await refuse_amid_rotation(holding.world.connection, holding.desk.keys)
    breaks = 0
    while True:
        try:
            done = await reindex(holding.desk, rows_at_once=2, watch=breaking_after(1 + breaks % 3))
            break
        except BrokenOffError:
            breaks += 1
            # The hub goes on answering: everything opens, and everybody is found, at each step.
            assert await holding.people() == before[2]
            if breaks % 5 == 0:
                assert without_log(await holding.opened()) == without_log(before[0])
                assert await holding.indexes() == before[1]
    assert breaks >= 20
    assert done.set_aside == 0
    after = await holding.opened()
    assert (without_log(after), await holding.indexes(), await holding.people()) == (
        without_log(before[0]),
        *before[1:],
    )
    assert set(before[0][_LOG_KEYS]) <= set(after[_LOG_KEYS])
    assert set().union(*(await holding.versions()).values()) == {2}

    await refuse_amid_rotation(holding.world.connection, holding.desk.keys)
    await retire_key(holding.desk, 1)
    await retire_key(holding.desk, 1)
    fresh = FileKeys(holding.desk.keys.files.folder)
    assert fresh.versions == (2,)
    assert (without_log(await holding.opened()), await holding.people()) == (without_log(before[0]), before[2])

    # The record goes on as if nothing had been: known rows are known, new ones reach the same people.
    rows = await holding.owner.fetchval("SELECT count(*) FROM ingest.held_row")
    members = await holding.owner.fetchval("SELECT count(*) FROM record.membership")
    await holding.world.pull(tax=[grade("G1", DAO), grade("G9", OLD, "李岩")])
    assert await holding.owner.fetchval("SELECT count(*) FROM ingest.held_row") == rows + 1
    assert await holding.owner.fetchval("SELECT count(*) FROM record.membership") == members
    linked = await holding.owner.fetchval("SELECT person_id::text FROM record.observation WHERE source_key = 'G9'")
    assert linked == before[2][NEW]

    events = await holding.owner.fetch("SELECT convert_from(entry, 'UTF8') FROM audit.entry ORDER BY seq")
    told = [json.loads(event[0])["what"] for event in events]
    assert [name for name in told if name.startswith("key:")] == [
        "key:operator:rotated", "key:operator:reindexed", "key:operator:retired"
    ]  # fmt: skip


async def test_a_damaged_text_and_an_index_of_nobody_are_set_aside_and_the_rest_goes_on(holding: Holding) -> None:
    owner = holding.owner
    damaged = await owner.fetchval(
        "UPDATE record.observation SET payload = set_byte(payload, 40, get_byte(payload, 40) # 1)"
        " WHERE source_key = 'G1' RETURNING observation_id::text"
    )
    lost = holding.desk.keys.index("identity", number("19110101"))
    await owner.execute("UPDATE ingest.held_row SET subject_index = $1 WHERE source_key = 'G3'", lost)
    await rotate_keys(holding.desk)
    done = await reindex(holding.desk, rows_at_once=3)
    assert done.set_aside == 2
    aside = {row["place"]: row for row in await owner.fetch("SELECT * FROM keyring.set_aside")}
    assert {(place, row["reason"]) for place, row in aside.items()} == {
        ("record.observation.payload", "DAMAGED"), ("ingest.held_row.subject_index", "UNMATCHED")
    }  # fmt: skip
    assert damaged in aside["record.observation.payload"]["row_key"]
    found = await holding.versions()
    assert [name for name, versions in found.items() if 1 in versions] == [
        "record.observation.payload", "ingest.held_row.subject_index"
    ]  # fmt: skip
    assert [(each.known.version, each.rows) for each in await key_status(owner, holding.desk.keys)] == [
        (1, 2), (2, sum([await _rows(holding, place) for place in PLACES]))
    ]  # fmt: skip

    for abandon in (0, 1, 3):
        with pytest.raises(RefusedError, match="2 rows need it"):
            await retire_key(holding.desk, 1, abandon=abandon)
    assert holding.desk.keys.versions == (2, 1)
    await retire_key(holding.desk, 1, abandon=2)
    assert holding.desk.keys.versions == (2,)


async def _rows(holding: Holding, place: Any) -> int:
    columns = " OR ".join(f"(octet_length({c}) > 0 AND get_byte({c}, 0) = 2)" for c in place.columns)
    return int(await holding.owner.fetchval(f"SELECT count(*) FROM {place.table} WHERE {columns}"))


async def test_a_household_with_a_damaged_text_is_put_aside_and_the_run_goes_on(holding: Holding) -> None:
    await holding.owner.execute(
        "UPDATE record.observation SET payload = set_byte(payload, 40, get_byte(payload, 40) # 1)"
        " WHERE source_key = 'G1'"
    )
    await holding.world.pull(tax=[grade("G7", DAO, version=3, letter="A"), grade("G8", NEW, "李岩", letter="A")])
    aside = await holding.owner.fetch("SELECT error FROM record.unfolded_household")
    assert [row["error"].split(" ")[0] for row in aside] == ["DamagedSealError"]
    assert "tax.grade/VALUE" in await holding.world.sections("H2", NEW)
    assert await holding.world.sections("H1", DAO) == {}


async def test_the_key_folder_of_another_hub_is_refused(holding: Holding, tmp_path: Any) -> None:
    await refuse_amid_rotation(holding.owner, holding.desk.keys)
    with pytest.raises(Exception, match="does not belong to this database") as refusal:
        await refuse_amid_rotation(holding.owner, FileKeys(tmp_path / "other"))
    assert getattr(refusal.value, "code", None) == "KEY_FOREIGN"


async def test_a_key_that_the_log_does_not_record_is_not_made(holding: Holding) -> None:
    # It fails where the entry is committed, as a full disk would have it.
    await holding.owner.execute(
        "CREATE FUNCTION pg_temp.fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$;"
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit.pending DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW WHEN (NEW.event = 'key:operator:rotated') EXECUTE FUNCTION pg_temp.fail()"
    )
    with pytest.raises(AuditError):
        await rotate_keys(holding.desk)
    assert holding.desk.keys.versions == (1,)
    assert await holding.owner.fetchval("SELECT max(version) FROM keyring.version") == 1


async def test_nobody_but_the_owner_wraps_a_key_of_the_log_anew_or_changes_what_a_steward_did(holding: Holding) -> None:
    await holding.owner.execute(
        "INSERT INTO audit.data_key (key_id, scope, holder, year, wrapped)"
        " VALUES (gen_random_uuid(), 'actor', '\\x01', 2026, '\\x01')"
    )
    async with holding.owner.transaction():
        await holding.owner.execute("UPDATE audit.data_key SET wrapped = '\\x02'")
    for change in (
        "UPDATE audit.data_key SET holder = '\\x02'",
        "UPDATE ingest.quarantine_act SET steward = 'other'",
        "DELETE FROM ingest.quarantine_act",
    ):
        with pytest.raises(Exception, match=r"only be destroyed|never changed"):
            await holding.owner.execute(change)


async def test_an_open_request_for_consent_is_found_under_the_new_key_or_keeps_the_old_one(holding: Holding) -> None:
    known = await holding.ask_consent(DAO, "刀岩保")
    unknown = await holding.ask_consent(number("19660606"), "陌生")
    await rotate_keys(holding.desk)
    await reindex(holding.desk)
    rows = await holding.owner.fetch("SELECT request_id, identity_indexes, name_indexes FROM consent.request")
    found = {row["request_id"]: row for row in rows}
    keys = holding.desk.keys
    assert set(found[known]["identity_indexes"]) == set(keys.indexes("identity", DAO))
    assert set(found[known]["name_indexes"]) == set(keys.indexes("name", "刀岩保"))
    assert [index[0] for index in found[unknown]["identity_indexes"]] == [1]
    with pytest.raises(RefusedError, match="1 open requests"):
        await retire_key(holding.desk, 1)
    with pytest.raises(Exception, match="never changed"):
        await holding.owner.execute("UPDATE consent.request SET identity_indexes = '{}'")
