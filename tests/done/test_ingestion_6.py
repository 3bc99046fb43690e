"""The purge removes an expired adverse item everywhere, and the log still verifies.

One item ended, at the day of its last fold, not quite five (three) years ago; on the day of the test its time is over.
Its amounts, its dates' neighbours and the person's own words are marks that stand nowhere else. Somebody was shown it
in time, so that there are answers, receipts and a list of accesses from before.
"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hub.access.publish import publish
from hub.app import open_hub
from hub.audit.export import export_bundle
from hub.audit.verify import verify_bundle
from hub.core.disclosure import Asker
from hub.core.names import QuarantineReason
from hub.flows.duties.purge_adverse import purge_adverse
from hub.flows.stewards.export_quarantine import export
from hub.flows.stewards.state_on_adverse import OwnStatement, state_on_adverse
from hub.flows.stewards.steward_desk import StewardAct, StewardDesk
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys
from hub.store.server import EmbeddedServer
from tests.adverse.items import DAO, arrears, troubled_loan
from tests.api.world import BANK_A, COUNTY, Api, settings_in
from tests.auth.clients import jwks
from tests.done.queries import HISTORY
from tests.records.world import World, consent, household, member

TAX_MARK, LOAN_MARK, WORDS_MARK, HELD_MARK = "73519.46", "28461.93", "CANARY-own-words-5107", "61937.28"
MARKS = (TAX_MARK, LOAN_MARK, WORDS_MARK, HELD_MARK)
PROFILE = """query($input: BorrowerProfileInput!) { borrowerProfile(input: $input) { ... on BorrowerProfile {
  completeness tax { arrears { amount clearedOn } hasArrears } bank { ownLoans { overdueAmount } }
  adverse { completeness items { kind regime since endedOn expiresOn statement statedOn } }
  absent { field reason } withheld { field reason } } } }"""
OWN = """{ household { ... on OwnRecord { adverse { items { itemId kind regime statement statedOn expiresOn } }
  tax { arrears { amount } } } } }"""
STATE = """mutation($input: StateOnAdverseInput!) { stateOnAdverse(input: $input) { __typename
  ... on AdverseStated { itemId showsAtOnce } ... on InvalidInput { fields { path code } } ... on NotFound { code }
  ... on NotAllowed { code } } }"""
TAKE_BACK = """mutation($input: WithdrawStatementInput!) { withdrawStatement(input: $input) { __typename
  ... on StatementWithdrawn { itemId showsAtOnce } ... on NotFound { code } } }"""


class Purged:
    """A hub that answers, over a prefecture of one household whose time has passed."""

    def __init__(self, api: Api, world: World, desk: StewardDesk, server: EmbeddedServer, database: Database) -> None:
        self.api, self.world, self.desk, self.server, self.database = api, world, desk, server, database
        self.person = UUID(int=0)

    async def seed(self) -> None:
        owner, world = self.api.owner, self.world
        damaged = (QuarantineReason.ID_CHECK_DIGIT,)
        await world.pull(
            civil=[household("H1"), member("C1", "H1", "刀岩保", DAO)],
            tax=[
                arrears("2023-10-25", amount=TAX_MARK),
                arrears(None, key="c|QS|3", amount="5.50"),
                replace(
                    arrears("2023-10-25", key="d|QS|4", amount=HELD_MARK, reasons=damaged, id_number=None),
                    wire={"qsye": HELD_MARK},
                ),
            ],
            bank=[
                consent(DAO),
                troubled_loan("2021-10-25", value={"overdue_amount": LOAN_MARK}),
            ],
        )
        self.person = (await world.person(DAO))["person_id"]
        await owner.execute(
            "INSERT INTO auth.account (account_id, role, person_id) VALUES ('dao', 'RESIDENT', $1)", self.person
        )
        await owner.execute("INSERT INTO access.organisation VALUES ($1, $1, $1, 'BANK')", BANK_A)
        await owner.execute(
            "INSERT INTO access.client (client_id, organisation_id, role, county_codes, purposes, jwks, status,"
            " max_subjects_per_day, is_dpop_required)"
            " VALUES ('risk-a', $1, 'BANK_RISK', $2, $3, $4, 'ACTIVE', 50, false)",
            BANK_A, [COUNTY], ["LOAN_APPLICATION"], json.dumps(jwks(self.api.client_keys["risk-a"])),
        )  # fmt: skip
        begins = datetime.now(UTC) - timedelta(minutes=1)
        parts = ["adverse/VALUE", "tax.arrears/VALUE", "tax.arrears/YES_NO", "bank.loan/VALUE"]
        await owner.execute(
            "INSERT INTO consent.basis (basis_id, kind, reference, county, organisation_id, person_id, purpose,"
            " parts, heightened, effective_from, expires_at)"
            " VALUES ($1, 'CASE', 'test', $2, $3, $4, 'LOAN_APPLICATION', $5, true, $6, $7)",
            uuid4(), COUNTY, BANK_A, self.person, parts, begins, begins + timedelta(days=3),
        )  # fmt: skip
        section = (await world.sections("H1", DAO))["adverse/VALUE"]
        for item in section["items"]:
            if item["endedOn"] == "2023-10-25":
                await state_on_adverse(
                    self.desk, OwnStatement(Asker("dao", "t", "dao"), item["itemId"], f"{WORDS_MARK} 已缴清")
                )

    async def in_time(self, days: int) -> None:
        """As if the gate's clock stood so many days earlier."""
        await self.api.owner.execute(
            "UPDATE record.section SET (expires_on, after_expires_on)"
            " = (expires_on + $1::int, after_expires_on + $1::int)",
            days,
        )

    async def ask(self, who: str, query: str, **variables: Any) -> str:
        token = await self.api.system_token() if who == "risk-a" else self.api.account_token(who)
        reply = await self.api.ask(token, query, variables)
        assert "errors" not in reply.json(), reply.text
        return reply.text

    async def answers(self) -> str:
        """Everything that bank and resident are told."""
        identity = {"idNumber": DAO, "name": "刀岩保"}
        given = {"borrower": {"identity": identity}, "purpose": "LOAN_APPLICATION", "officer": "officer.li"}
        return await self.ask("risk-a", PROFILE, input=given) + await self.ask("dao", OWN)

    async def tables(self) -> str:
        """Every row of every table, as text."""
        owner = self.api.owner
        names = await owner.fetch(
            "SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        rows = [row["t"] for n in names for row in await owner.fetch(f"SELECT t::text AS t FROM {n['name']} t")]
        return "\n".join(rows)

    async def files(self) -> bytes:
        """The bytes of this database's files and of the server's log, after a checkpoint."""
        connection = await self.server.connect()
        try:
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
        place = self.server.place
        somewhere = await self.api.owner.fetchval("SELECT pg_relation_filepath('record.observation')")
        paths = [*sorted((place.data / somewhere).parent.iterdir()), place.log]
        return b"\n".join(path.read_bytes() for path in paths if path.is_file())

    async def exported_rows(self) -> bytes:
        """What a steward gets of the tax office's rows in quarantine."""
        written: list[bytes] = []

        def write(rows: bytes, more: bytes | None) -> None:
            written.extend((rows, more or b""))

        await export(self.desk, StewardAct("steward-1", "case 1", "test", {}), "tax", None, write)
        return b"".join(written)

    async def export(self, folder: Path) -> str:
        """The exported log with everything that the person's keys open, as text."""
        auditor = await self.database.connect(DbRole.AUDITOR)
        try:
            await export_bundle(auditor, folder, keys=self.api.keys, persons=[self.person])
        finally:
            await auditor.close()
        verify_bundle(folder)
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file())


def marks_in(text: str | bytes) -> set[str]:
    raw = text.encode() if isinstance(text, str) else text
    return {mark for mark in MARKS if mark.encode() in raw}


@pytest.fixture
async def purged(database: Database, server: EmbeddedServer, tmp_path: Path) -> AsyncIterator[Purged]:
    settings = settings_in(tmp_path / "home")
    keys = FileKeys(settings.keys_folder)
    owner, ingest = await database.connect(DbRole.OWNER), await database.connect(DbRole.INGEST)
    await publish(owner, keys)
    async with open_hub(settings, database) as hub:
        world = World(ingest, keys)
        desk = StewardDesk(database, keys, hub.ports.stewards.receipts, lambda: world.now)
        made = Purged(Api(hub, owner, keys), world, desk, server, database)
        await made.seed()
        yield made
        await made.api.http.aclose()
    await owner.close()
    await ingest.close()


async def test_an_item_whose_time_is_over_is_purged_everywhere_and_the_log_verifies(
    purged: Purged, tmp_path: Path
) -> None:
    # In time: it is shown, with the person's own words.
    await purged.in_time(100)
    assert marks_in(await purged.answers()) == {TAX_MARK, LOAN_MARK, WORDS_MARK}
    await purged.in_time(-100)
    # Its day has come and no job has run: no answer has it, and nothing tells that there was something.
    after = await purged.answers()
    assert marks_in(after) == set()
    assert '"5.50"' in after
    assert "STALE" not in after
    assert marks_in(await purged.exported_rows()) == {HELD_MARK}
    stored, raw = await purged.tables(), await purged.files()
    assert marks_in(stored) == marks_in(raw) == {TAX_MARK, LOAN_MARK, WORDS_MARK}, "the search finds what is there"

    world = purged.world
    world.now = datetime.now(UTC)
    done = await purge_adverse(world.connection, world.keys, purged.desk.receipts, lambda: world.now)
    assert {part.category.value: (part.rows, part.held_back) for part in done} == {
        "bank.loan": (1, 0), "tax.arrears": (2, 1)
    }  # fmt: skip

    # Answers, sections, every table, quarantine and its export.
    assert marks_in(await purged.answers()) == set()
    assert marks_in(await purged.tables()) == set()
    assert await purged.exported_rows() == b""
    # Observations are sealed, so that their absence is shown by their number.
    left = await world.connection.fetch("SELECT source_key FROM record.observation WHERE adverse")
    assert [row["source_key"] for row in left] == ["c|QS|3"]
    # The files, once the operator has had them written anew.
    for table in ("record.section", "record.observation", "ingest.quarantine", "ingest.held_row"):
        await purged.api.owner.execute(f"VACUUM (FULL) {table}")
    await purged.api.owner.execute("VACUUM (FULL) record.adverse_statement")
    assert marks_in(await purged.files()) == set()

    # The list of accesses tells what was opened, before and after the purge alike, not what it held.
    history = await purged.ask("dao", HISTORY, first=50)
    assert marks_in(history) == set()
    looked = [node["node"] for node in json.loads(history)["data"]["accessHistory"]["edges"]]
    bank = [tuple(node["categories"]) for node in looked if node["event"] == "profile:client:queried"]
    assert len(bank) == 3
    assert len(set(bank)) == 1, "with the item, without it, and purged: the same categories"
    assert not any("adverse" in node["event"] for node in looked)

    # The exported log, opened with the person's keys, holds neither the item nor the words; and it verifies.
    exported = await purged.export(tmp_path / "bundle")
    assert marks_in(exported) == set()
    assert exported.count('"what":"adverse:hub:purged"') == 2
    assert not re.search(r"10253310300000000017|HT1\|J1|d\|QS\|4", exported)


async def test_over_the_api_a_person_states_beside_his_item_and_the_lender_reads_it(purged: Purged) -> None:
    own = json.loads(await purged.ask("dao", OWN))["data"]["household"]["adverse"]["items"]
    (item,) = own
    assert (item["regime"], item["statement"], item["expiresOn"]) == ("PUBLIC_CREDIT", None, None)
    given = {"itemId": item["itemId"], "text": "正在分期补缴。", "idempotencyKey": "k1"}
    purged.world.now = datetime.now(UTC)
    for _ in range(2):
        made = json.loads(await purged.ask("dao", STATE, input=given))
        assert made["data"]["stateOnAdverse"] == {
            "__typename": "AdverseStated", "itemId": item["itemId"], "showsAtOnce": True
        }  # fmt: skip
    assert await purged.api.owner.fetchval("SELECT count(*) FROM record.adverse_statement") == 2
    assert (await purged.answers()).count("正在分期补缴。") == 2
    for change, refused in (
        ({"text": "x" * 501}, {"fields": [{"path": ["input", "text"], "code": "STATEMENT_LENGTH"}]}),
        ({"itemId": "7"}, {"fields": [{"path": ["input", "itemId"], "code": "ID_MALFORMED"}]}),
        ({"itemId": "0" * 32}, {"code": "ADVERSE_UNKNOWN"}),
    ):
        asked = given | {"idempotencyKey": uuid4().hex} | change
        answer = json.loads(await purged.ask("dao", STATE, input=asked))["data"]["stateOnAdverse"]
        assert {key: answer[key] for key in refused} == refused
    reply = await purged.api.ask(await purged.api.system_token(), STATE, {"input": given | {"idempotencyKey": "b"}})
    assert reply.json()["data"]["stateOnAdverse"] == {"__typename": "NotAllowed", "code": "NOT_ALLOWED"}
    gone = await purged.ask("dao", TAKE_BACK, input={"itemId": item["itemId"], "idempotencyKey": "k9"})
    assert '"StatementWithdrawn"' in gone
    assert "正在分期补缴。" not in await purged.answers()
