"""What was not granted appears in no reply; and no value at all in a log line, a waiting record or an audit detail."""

import io
import logging
import traceback
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from hub import telemetry
from hub.store.database import Database
from hub.store.server import EmbeddedServer
from tests.done.marks import Place
from tests.done.opened import audit_details, tables
from tests.done.queries import CONSENTS, HISTORY, LOG, OWN_RECORD
from tests.done.served import (
    ALL_PARTS,
    BANK_A,
    BANK_B,
    BANK_C,
    CHILD,
    HEAD,
    HOUSEHOLD_PARTS,
    NEIGHBOUR,
    OPEN_TO_RISK,
    SON,
    WIFE,
    Person,
    Served,
    household_of,
    served_hub,
)

RISK_ONLY = {"tax.arrears/VALUE", "tax.band/BAND", "clinic.arrears/BAND"}
WITHOUT_MARK = {key for key in ALL_PARTS if key.endswith("/YES_NO")}


class Lines(logging.Handler):
    """Keeps every log record whole, before anything is struck out of it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage() + repr(record.__dict__))
        if record.exc_info and record.exc_info[1]:
            self.texts.append("".join(traceback.format_exception(record.exc_info[1])))


class Written:
    """Where else than in a reply a value could have gone."""

    def __init__(self, server: EmbeddedServer, capture: pytest.CaptureFixture[str]) -> None:
        self.lines = Lines()
        self.stream = io.StringIO()
        self._capture = capture
        self._log = server.place.log
        self._from = self._log.stat().st_size

    async def texts(self, served: Served) -> list[str]:
        waiting = await served.owner.fetchval("SELECT count(*) FROM watched.pending")
        assert waiting > 0
        details = await audit_details(served.owner, served.keys)
        assert any(text.startswith("request: ") for text in details)
        stored = await tables(served.owner, leave_out=("record.section",))
        assert "audit.detail" in stored
        assert "watched.pending" in stored
        assert self.lines.texts
        shown = self._capture.readouterr()
        server = self._log.read_bytes()[self._from :].decode("utf-8", "replace")
        rows = [row for rows in stored.values() for row in rows]
        return [*self.lines.texts, self.stream.getvalue(), *shown, server, *details, *rows]


@pytest.fixture
def written(server: EmbeddedServer, database: Database, capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """The log of this process at its most talkative."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    kept = Written(server, capsys)
    telemetry.configure("debug", "json", kept.stream)
    root.addHandler(kept.lines)
    yield kept
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
async def served(written: Written, database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        logging.getLogger("hub.tests").debug("at debug")
        yield hub


def places(person: Person, keys: set[str], owners: tuple[str, ...] = (BANK_A,)) -> set[Place]:
    """The sections of a person and of his household in these parts that hold marks."""
    household = household_of(person)
    found: set[Place] = set()
    for key in keys - WITHOUT_MARK:
        about = household if key in HOUSEHOLD_PARTS else person.person_id
        found |= {(about, key, owner) for owner in (owners if key.startswith("bank.") else ("",))}
    return found


def lender_sees(person: Person, keys: set[str]) -> set[Place]:
    """Own contracts in detail; other lenders' only as sums, which are nobody's value."""
    return places(person, {key for key in keys if not key.endswith("/TOTAL")})


def parts_input(keys: set[str]) -> list[dict[str, str]]:
    return [dict(zip(("category", "form"), key.split("/"), strict=True)) for key in sorted(keys)]


def shown(served: Served, reply: httpx.Response) -> set[Place]:
    assert reply.status_code == 200
    assert "errors" not in reply.json(), reply.text
    return served.marks.found(reply.content, str(reply.headers))


async def nothing_written(served: Served, written: Written) -> None:
    assert served.marks.found(*await written.texts(served)) == set()


async def test_every_section_holds_marks_that_are_recognised(served: Served) -> None:
    bodies = [row["body"] for row in await served.owner.fetch("SELECT body FROM record.section")]
    assert len(served.marks.all()) > 150
    assert served.marks.found(*bodies) == served.marks.all()
    kinds = {key for _, key, _ in served.marks.all()}
    assert kinds == set(ALL_PARTS) - WITHOUT_MARK


async def test_no_basis(served: Served, written: Written) -> None:
    await served.grant(HEAD, "officer-b", parts=parts_input({"identity/VALUE"}))
    for client in ("risk-a", "officer-a"):
        for person in (HEAD, NEIGHBOUR, CHILD):
            assert shown(served, await served.profile(client, person)) == set()
    await nothing_written(served, written)


async def test_a_basis_for_some_parts(served: Served, written: Written) -> None:
    his = {"identity/VALUE", "bank.loan/VALUE", "bank.loan/TOTAL", "civil.relief/YES_NO"}
    await served.grant(HEAD, parts=parts_input(his))
    await served.grant(WIFE, parts=parts_input({"identity/VALUE", "tax.grade/VALUE"}))
    await served.grant(SON, "risk-b", parts=parts_input({"identity/VALUE"}))
    reply = await served.profile("risk-a", HEAD)
    profile = reply.json()["data"]["borrowerProfile"]
    assert shown(served, reply) == lender_sees(HEAD, his) | places(WIFE, {"identity/VALUE"})
    assert profile["relief"]["inForce"] is True
    assert profile["tax"]["hasArrears"] is None
    assert profile["bank"]["otherLoans"]["lenders"] == 2
    assert profile["bank"]["otherLines"] is None
    await nothing_written(served, written)


@pytest.mark.parametrize(("client", "hidden"), [("risk-a", set()), ("officer-a", RISK_ONLY)])
async def test_a_basis_for_all_parts(served: Served, written: Written, client: str, hidden: set[str]) -> None:
    await served.grant(HEAD)
    assert shown(served, await served.profile(client, HEAD)) == lender_sees(HEAD, set(OPEN_TO_RISK) - hidden)
    await nothing_written(served, written)


async def test_a_resident_reads_himself_and_nobody_else(served: Served, written: Written) -> None:
    await served.grant(HEAD)
    await served.profile("risk-a", HEAD)
    found = shown(served, await served.ask("wife", OWN_RECORD))
    own = {"tax.band/BAND", "clinic.arrears/VALUE", "civil.relief/VALUE", "bank.loan/VALUE", "bank.line/VALUE"}
    own |= {key for key in OPEN_TO_RISK if key.endswith("/VALUE")}
    assert found == places(WIFE, own, (BANK_A, BANK_B, BANK_C))
    for account in ("head", "wife"):
        for query in (HISTORY, CONSENTS):
            assert shown(served, await served.ask(account, query, {"first": 100})) == set()
    assert shown(served, await served.ask("child", OWN_RECORD)) == places(CHILD, set())
    await nothing_written(served, written)


async def test_a_regulator_reads_the_log_and_no_record(served: Served, written: Written) -> None:
    await served.grant(HEAD)
    await served.profile("risk-a", HEAD)
    await served.ask("head", OWN_RECORD)
    for query in (LOG, OWN_RECORD, HISTORY, CONSENTS):
        reply = await served.ask("regulator", query, {"first": 100})
        assert shown(served, reply) == set()
    for purpose in ("SUPERVISION", "LOAN_APPLICATION", "SELF_ACCESS"):
        assert shown(served, await served.profile("regulator", HEAD, purpose=purpose, officer=None)) == set()
    await nothing_written(served, written)


@pytest.mark.parametrize(
    ("account", "purpose", "sees"),
    [
        ("collector", "DATA_COLLECTION", {"roster/VALUE", "identity/VALUE"}),
        ("steward", "DATA_QUALITY", {"roster/VALUE", "identity/VALUE", "conflict/VALUE"}),
        ("township", "SUBSIDY", {"roster/VALUE", "identity/VALUE"}),
        ("collector", "LOAN_APPLICATION", set()),
    ],
)
async def test_staff_see_the_register_and_no_facts(
    served: Served, written: Written, account: str, purpose: str, sees: set[str]
) -> None:
    found = shown(served, await served.profile(account, HEAD, purpose=purpose, officer=None))
    others = places(WIFE, {"identity/VALUE"}) | places(SON, {"identity/VALUE"}) if sees else set()
    assert found == places(HEAD, sees) | others
    await nothing_written(served, written)


async def test_a_value_that_breaks_the_answer_is_in_no_error(served: Served, written: Written) -> None:
    """Damaged sections: the fault is told by its place, never by the value that caused it."""
    place = (HEAD.person_id, "damaged", "")
    broken = {
        "bank.loan/TOTAL": f'{{"balance": "{served.marks.text(place)}", "loans": 1, "worstClass": "1"}}',
        "bank.line/TOTAL": f'{{"amount": {{"{served.marks.text(place)}"',
        "tax.grade/VALUE": f'{{"items": [{{"gradeYear": "{served.marks.text(place)}"}}]}}',
        "adverse/VALUE": f'{{"items": {served.marks.text(place)}',
        "identity/VALUE": f'["{served.marks.text(place)}"]',
    }
    await served.grant(HEAD)
    await served.owner.execute("UPDATE consent.basis SET max_uses = NULL")
    for key, body in broken.items():
        category, form = key.split("/")
        where = "person_id = $1 AND category = $2 AND form = $3"
        whole = await served.owner.fetch(
            f"SELECT owner, body FROM record.section WHERE {where}", HEAD.person_id, category, form
        )
        await served.owner.execute(
            f"UPDATE record.section SET body = $4 WHERE {where}", HEAD.person_id, category, form, body
        )
        reply = await served.profile("risk-a", HEAD)
        assert reply.json()["errors"], key
        assert reply.json()["errors"][0]["extensions"]["code"] == "INTERNAL_SERVER_ERROR"
        assert (HEAD.person_id, "damaged", "") not in served.marks.found(reply.content), key
        for row in whole:
            await served.owner.execute(
                f"UPDATE record.section SET body = $4 WHERE {where} AND owner = $5",
                HEAD.person_id, category, form, row["body"], row["owner"],
            )  # fmt: skip
    await nothing_written(served, written)
