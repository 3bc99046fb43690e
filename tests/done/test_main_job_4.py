"""A query without consent returns no value, is recorded, and looks the same for everybody who is not to be shown."""

import statistics
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from hub.audit.history import list_accesses
from hub.audit.leaf import Leaf
from hub.audit.proof import Receipt
from hub.store.database import Database
from tests.done.queries import PROFILE
from tests.done.served import COUSIN, DEAD, FAR, HEAD, NEIGHBOUR, SON, STRANGER, WIFE, Served, profile_input, served_hub

HIDDEN_HEADERS = {"date", "content-length", "x-request-id"}
"""They differ between any two replies; the length by the digits of the receipt's numbers."""


@pytest.fixture
async def served(database: Database, tmp_path: Path) -> AsyncIterator[Served]:
    async with served_hub(database, tmp_path / "home") as hub:
        yield hub


async def refused_alike(served: Served) -> dict[str, httpx.Response]:
    """The replies to one bank about people about whom it may be told nothing, each for another reason."""
    await served.grant(WIFE)
    expired = await served.grant(SON)
    await served.owner.execute(
        "UPDATE consent.basis SET effective_from = now() - interval '2 days', expires_at = now() - interval '1 second'"
        " WHERE basis_id = $1::text::uuid", expired,
    )  # fmt: skip
    await served.refuse(NEIGHBOUR)
    await served.grant(COUSIN, "risk-b")
    replies = {
        "never asked": await served.profile("risk-a", HEAD),
        "unknown person": await served.profile("risk-a", STRANGER),
        "wrong name": await served.profile("risk-a", replace(WIFE, name="玉相")),
        "expired": await served.profile("risk-a", SON),
        "refused": await served.profile("risk-a", NEIGHBOUR),
        "other bank's": await served.profile("risk-a", COUSIN),
        "dead": await served.profile("risk-a", DEAD),
        "other area": await served.profile("risk-a", FAR),
    }
    await served.request(HEAD)
    replies["not answered yet"] = await served.profile("risk-a", HEAD)
    await served.grant(COUSIN, "risk-a", purpose="CARD_APPLICATION")
    replies["other purpose"] = await served.profile("risk-a", COUSIN)
    taken_back = await served.grant(NEIGHBOUR)
    pseudonym = (await served.profile("risk-a", NEIGHBOUR)).json()["data"]["borrowerProfile"]["borrowerId"]
    await served.withdraw(NEIGHBOUR, taken_back)
    replies["withdrawn"] = await served.profile("risk-a", NEIGHBOUR)
    for reason, known_as in {"withdrawn, by id": pseudonym, "id of nobody": "0" * 32}.items():
        replies[reason] = await served.profile("risk-a", NEIGHBOUR, borrower={"borrowerId": known_as})
    theirs = (await served.profile("risk-b", COUSIN)).json()["data"]["borrowerProfile"]["borrowerId"]
    assert theirs
    replies["other bank's id"] = await served.profile("risk-a", COUSIN, borrower={"borrowerId": theirs})
    return replies


def answer_of(reply: httpx.Response) -> bytes:
    """The body up to the receipt, which is the only thing behind it."""
    answer, mark, receipt = reply.content.partition(b',"extensions":')
    assert mark
    assert reply.content == answer + mark + receipt
    assert set(reply.json()) == {"data", "extensions"}
    assert list(reply.json()["extensions"]["receipt"]) == ["event", "index", "treeSize", "proof"]
    return answer


def leaf_of(reply: httpx.Response) -> Leaf:
    return Receipt.parse(reply.json()["extensions"]["receipt"]["proof"]).leaf()


ABOUT = {
    "never asked": HEAD, "wrong name": WIFE, "expired": SON, "refused": NEIGHBOUR, "other bank's": COUSIN, "dead": DEAD,
    "other area": FAR, "not answered yet": HEAD, "other purpose": COUSIN, "withdrawn": NEIGHBOUR,
    "withdrawn, by id": NEIGHBOUR, "unknown person": None, "id of nobody": None, "other bank's id": None,
}  # fmt: skip
"""Whose list of accesses each refusal belongs into."""


async def test_no_refusal_can_be_told_from_another_and_all_are_recorded(served: Served) -> None:
    replies = await refused_alike(served)
    assert set(replies) == set(ABOUT)
    check_replies(served, replies)
    leaves = {reason: leaf_of(reply) for reason, reply in replies.items()}
    check_entries(list(leaves.values()))
    for reason, person in ABOUT.items():
        seq = leaves[reason].seq
        subjects = {row[0] for row in await served.owner.fetch("SELECT subject FROM audit.detail WHERE seq = $1", seq)}
        assert subjects - {None} == (set() if person is None else {person.person_id}), reason
        if person is not None:
            accesses = await list_accesses(served.owner, served.keys, person.person_id)
            (access,) = [each for each in accesses if each.seq == seq]
            assert (access.decision, access.intact, access.actor) == ("deny", True, "officer.li"), reason
            assert access.shared is not None
            assert access.shared["client"] == "risk-a"


def check_replies(served: Served, replies: dict[str, httpx.Response]) -> None:
    """The same status, headers and bytes; no value."""
    assert {reply.status_code for reply in replies.values()} == {200}
    answers = {reason: answer_of(reply) for reason, reply in replies.items()}
    usual = answers["never asked"]
    assert [reason for reason, answer in answers.items() if answer != usual] == []
    profile = replies["never asked"].json()["data"]["borrowerProfile"]
    assert {notice["reason"] for notice in profile["withheld"]} == {"NO_BASIS"}
    assert profile["borrowerId"] is profile["asOf"] is profile["otherAdults"] is profile["adultsNotShown"] is None
    assert profile["absent"] == []
    headers = {
        tuple((name, value) for name, value in reply.headers.multi_items() if name not in HIDDEN_HEADERS)
        for reply in replies.values()
    }
    assert len(headers) == 1
    assert served.marks.found(*(reply.content for reply in replies.values())) == set()


def check_entries(leaves: list[Leaf]) -> None:
    """What stands in the clear differs by nothing but place, time, id and the salted commitments."""
    assert {leaf.decision for leaf in leaves} == {"deny"}
    bare = {replace(leaf, seq=0, t=0, ev=leaves[0].ev, rc=leaves[0].rc, sn=leaves[0].sn).to_bytes() for leaf in leaves}
    assert len(bare) == 1
    assert len({len(leaf.to_bytes()) - len(str(leaf.seq)) for leaf in leaves}) == 1


@pytest.mark.long
async def test_a_refusal_takes_as_long_for_one_as_for_another(served: Served) -> None:
    await served.grant(WIFE, "risk-b")
    asked = {
        "denied": profile_input(HEAD), "unknown": profile_input(STRANGER), "other bank's": profile_input(WIFE),
        "wrong name": profile_input(replace(WIFE, name="玉相")),
    }  # fmt: skip
    seconds: dict[str, list[float]] = {reason: [] for reason in asked}
    for _ in range(25):
        for reason, variables in asked.items():
            began = time.perf_counter()
            reply = await served.ask("risk-a", PROFILE, variables)
            seconds[reason].append(time.perf_counter() - began)
            assert reply.status_code == 200
    medians = {reason: statistics.median(taken) for reason, taken in seconds.items()}
    assert max(medians.values()) < 1.5 * min(medians.values()), medians
