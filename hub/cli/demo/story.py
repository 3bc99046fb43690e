"""The story: what was pulled, one household, two banks, consent given and taken back, and the proof of all of it."""

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson

from hub.audit.damage import VerifyError
from hub.audit.export import export_bundle
from hub.audit.verify import verify_bundle
from hub.cli.demo.documents import EVENTS, GRANT, HISTORY, INBOX, PROFILE, REQUEST, WITHDRAW
from hub.cli.demo.narrator import Narrator
from hub.cli.demo.stage import Stage
from hub.core.clock import system_clock
from hub.core.errors import SourceError
from hub.flows.receipts import receipt_desk
from hub.flows.stewards.show_household import StewardQuery, show_households
from hub.sandbox.caller import Caller, SystemCaller
from hub.sandbox.cast import RURAL_BANK, VILLAGE_BANK
from hub.store.database import DbRole

_ASKED_PARTS = (
    ("roster", "VALUE"), ("identity", "VALUE"), ("tax.registration", "VALUE"), ("tax.grade", "VALUE"),
    ("tax.arrears", "YES_NO"), ("clinic.arrears", "BAND"), ("civil.relief", "YES_NO"), ("bank.line", "VALUE"),
    ("bank.line", "TOTAL"), ("bank.loan", "VALUE"), ("bank.loan", "TOTAL"), ("adverse", "VALUE"),
    ("conflict", "VALUE"),
)  # fmt: skip
"""What both banks ask consent for: not social insurance and not the tax bands, so some fields stay withheld."""


async def tell_story(stage: Stage, narrator: Narrator) -> None:
    """Tell all of it; what does not come out as told is counted by the narrator."""
    _pulled(stage, narrator)
    await _one_household(stage, narrator)
    rural, village = stage.system("rcb-risk"), stage.system("vb-risk")
    resident = await stage.person("borrower")
    await _without_consent(stage, narrator, rural)
    receipt = await _with_consent(stage, narrator, rural, resident)
    await _second_bank(stage, narrator, village, resident)
    await _taken_back(stage, narrator, rural, resident)
    await _who_looked(narrator, resident)
    await _regulator(stage, narrator)
    await _verified(stage, narrator, receipt)


def _pulled(stage: Stage, narrator: Narrator) -> None:
    narrator.step("What was pulled, and what was refused and why")
    sources = stage.report["sources"]
    counts = ("fetched", "accepted", "unchanged", "superseded")
    narrator.table(
        ["source", "status", *counts, "quarantined"],
        [
            [name, entry["status"], *(f"{entry[c]:,}" for c in counts), f"{sum(entry['quarantined'].values()):,}"]
            for name, entry in sources.items()
        ],
    )
    for name, entry in sources.items():
        held_back = ", ".join(f"{reason} {rows}" for reason, rows in entry["quarantined"].items())
        narrator.say(f"{name} held back: {held_back or 'nothing'}")
        for refused in entry["files"]["refused"]:
            narrator.say(f"{name} refused the file {refused['name']}: {refused['reason']}")
        if entry["dropped_fields"]:
            dropped = ", ".join(f"{field} {rows}" for field, rows in entry["dropped_fields"].items())
            narrator.say(f"{name} dropped fields the hub must never hold, at the door: {dropped}")
    narrator.expect(
        all(
            entry["fetched"]
            == entry["accepted"] + entry["unchanged"] + entry["superseded"] + sum(entry["quarantined"].values())
            for entry in sources.values()
        ),
        "Every row fetched is accepted, unchanged, superseded or quarantined with a reason: none is lost.",
    )
    narrator.expect(all(entry["status"] != "FAILED" for entry in sources.values()), "No source failed.")


async def _one_household(stage: Stage, narrator: Narrator) -> None:
    narrator.step("One household that five agencies knew separately, as a data steward compares it with its sources")
    number = stage.sandbox.story["people"]["borrower"]["id_number"]
    async with receipt_desk(stage.database, stage.keys, stage.settings.home) as desk:
        query = StewardQuery("sandbox-steward", "H", "demo: comparison with the sources")
        (line,) = await show_households(stage.database, stage.keys, desk, query, [number], system_clock)
    record = orjson.loads(line)
    narrator.say(
        f"Household {record['household']['household_no']}: {len(record['members'])} adults, {record['minors']} minor."
    )
    narrator.table(
        ["category", "source", "version", "member", "status", "value"],
        [
            [
                fact["category"], fact["source"], fact["source_version"], fact["member_no"] or "household",
                fact["status"], _short(fact["value"]),
            ]
            for fact in record["facts"]
        ],
    )  # fmt: skip
    for conflict in record["conflicts"]:
        narrator.say(f"Conflict shown, not resolved: {conflict['type']} ({conflict['source']})")
    kinds = {fact["category"].split(".")[0] for fact in record["facts"]}
    narrator.expect(
        kinds == {"tax", "social", "clinic", "civil", "bank"}, "All five kinds of agency are in the one record."
    )


def _short(value: dict[str, Any] | None) -> str:
    text = "-" if value is None else ", ".join(str(item) for item in value.values() if item is not None)
    return text if len(text) <= 60 else text[:57] + "..."


async def _profile(stage: Stage, bank: SystemCaller, number: str | None = None, name: str | None = None) -> Any:
    borrower = stage.sandbox.story["people"]["borrower"]
    identity = {"idNumber": number or borrower["id_number"], "name": name or borrower["name"]}
    variables = {"borrower": {"identity": identity}, "purpose": "LOAN_APPLICATION", "officer": "officer-07"}
    return await bank.ask(PROFILE, input=variables)


def _result(reply: dict[str, Any], name: str, wanted: str) -> dict[str, Any]:
    """One root field of a reply. Raises :class:`SourceError` with the hub's own words if it is a refusal."""
    result: dict[str, Any] = reply["data"][name]
    if result["__typename"] != wanted:
        raise SourceError(
            f"{name} was refused ({result.get('code')}): {result.get('message')} {result.get('fields', '')}"
        )
    return result


async def _without_consent(stage: Stage, narrator: Narrator, bank: SystemCaller) -> None:
    narrator.step("The rural bank asks about the borrower without his consent")
    denied = await _profile(stage, bank)
    profile = denied["data"]["borrowerProfile"]
    reasons = {entry["reason"] for entry in profile["withheld"]}
    narrator.expect(reasons == {"NO_BASIS"}, f"All {len(profile['withheld'])} fields are withheld: NO_BASIS.")
    unknown = await _profile(stage, bank, "533103199909090012", "无此人")
    narrator.expect(
        json.dumps(denied["data"]) == json.dumps(unknown["data"]),
        "For a person who does not exist the hub answers with the very same bytes.",
    )
    narrator.expect("receipt" in denied["extensions"], "Both questions were recorded; the refusal carries a receipt.")


async def _consent(stage: Stage, narrator: Narrator, bank: SystemCaller, resident: Caller, who: str) -> None:
    """The bank asks for consent, the resident reads and agrees."""
    borrower = stage.sandbox.story["people"]["borrower"]
    asked = await bank.ask(
        REQUEST,
        input={
            "idempotencyKey": str(uuid4()),
            "borrower": {"idNumber": borrower["id_number"], "name": borrower["name"]},
            "purpose": "LOAN_APPLICATION",
            "parts": [{"category": category, "form": form} for category, form in _ASKED_PARTS],
            "officer": "officer-07",
            "applicationRef": f"APP-{bank.client_id}-1",
        },
    )
    request_id = _result(asked, "requestConsent", "ConsentRequested")["requestId"]
    inbox = await resident.ask(INBOX)
    waiting = {request["id"]: request for request in inbox["data"]["consents"]["requests"]}
    narrator.expect(request_id in waiting, f"The resident finds the request of {who} and its notice in his own list.")
    granted = await resident.ask(GRANT, input={"idempotencyKey": str(uuid4()), "requestId": request_id})
    consent = granted["data"]["grantConsent"]
    narrator.expect(
        consent["__typename"] == "ConsentGranted",
        f"He agrees: {consent.get('maxUses')} queries until {str(consent.get('expiresAt'))[:10]}.",
    )


async def _with_consent(stage: Stage, narrator: Narrator, bank: SystemCaller, resident: Caller) -> dict[str, Any]:
    narrator.step("The resident consents, and the rural bank asks again")
    await _consent(stage, narrator, bank, resident, RURAL_BANK.name_en)
    reply = await _profile(stage, bank)
    profile = reply["data"]["borrowerProfile"]
    narrator.show({part: profile[part] for part in ("household", "identity", "relief", "bank", "adverse")})
    narrator.show({part: profile[part] for part in ("tax", "clinicArrears")})
    withheld = {entry["field"]: entry["reason"] for entry in profile["withheld"]}
    narrator.say("Withheld: " + ", ".join(f"{field} ({reason})" for field, reason in withheld.items()))
    narrator.expect(bool(profile["bank"]["ownLoans"]), "It sees its own loans in detail.")
    narrator.expect(
        profile["bank"]["otherLoans"]["lenders"] == 1, "Of the other bank it sees the total and the worst class only."
    )
    narrator.expect(
        withheld.get("socialInsurance.items") == "CATEGORY_NOT_IN_BASIS"
        and profile["socialInsurance"]["items"] is None,
        "Social insurance was not agreed to: withheld, and the section says PARTIAL, never 'none'.",
    )
    narrator.expect(profile["clinicArrears"]["bands"] is not None, "Clinic arrears arrive as a band, not an amount.")
    receipt: dict[str, Any] = reply["extensions"]["receipt"]
    return receipt


async def _second_bank(stage: Stage, narrator: Narrator, bank: SystemCaller, resident: Caller) -> None:
    narrator.step("A second bank asks: first without, then with consent")
    before = (await _profile(stage, bank))["data"]["borrowerProfile"]
    narrator.expect(
        before["borrowerId"] is None and {entry["reason"] for entry in before["withheld"]} == {"NO_BASIS"},
        "The first bank's consent is of no use to the second: nothing.",
    )
    await _consent(stage, narrator, bank, resident, VILLAGE_BANK.name_en)
    reply = await _profile(stage, bank)
    profile = reply["data"]["borrowerProfile"]
    narrator.show({"bank": profile["bank"]})
    contracts = [fact["contractNo"] for fact in profile["bank"]["ownLoans"] or []]
    narrator.expect(bool(contracts), "It sees its own contract.")
    narrator.expect(
        profile["bank"]["otherLoans"]["lenders"] == 1 and "NHXY" not in json.dumps(profile["bank"]["otherLoans"]),
        "The first bank's loans appear as a total only: number of lenders, balance, worst class.",
    )


async def _taken_back(stage: Stage, narrator: Narrator, bank: SystemCaller, resident: Caller) -> None:
    narrator.step("The resident takes the first consent back")
    inbox = (await resident.ask(INBOX))["data"]["consents"]["consents"]
    mine = [
        consent
        for consent in inbox
        if consent["organisation"]["id"] == RURAL_BANK.organisation_id and consent["state"] == "IN_FORCE"
    ]
    narrator.expect(len(mine) == 1, "He finds the consent in his list, in force.")
    done = await resident.ask(WITHDRAW, input={"idempotencyKey": str(uuid4()), "consentId": mine[0]["id"]})
    narrator.expect(done["data"]["withdrawConsent"]["__typename"] == "ConsentWithdrawn", "One call, no reason asked.")
    after = (await _profile(stage, bank))["data"]["borrowerProfile"]
    narrator.expect(
        {entry["reason"] for entry in after["withheld"]} == {"NO_BASIS"}, "The bank's very next query returns nothing."
    )


async def _who_looked(narrator: Narrator, resident: Caller) -> None:
    narrator.step("The resident reads who looked")
    edges = (await resident.ask(HISTORY))["data"]["accessHistory"]["edges"]
    nodes = [edge["node"] for edge in edges]
    narrator.table(
        ["no.", "when", "who", "what", "result"],
        [
            [str(n["number"]), n["at"][:19], n["organisation"] or "himself", n["event"], n["decision"]]
            for n in nodes
        ],
    )  # fmt: skip
    numbers = sorted(node["number"] for node in nodes)
    narrator.expect(numbers == list(range(1, len(numbers) + 1)), "The list is numbered without a gap.")
    narrator.expect(
        sum(node["event"] == "profile:client:queried" for node in nodes) >= 5, "Every query is in it, the refused too."
    )


async def _regulator(stage: Stage, narrator: Narrator) -> None:
    narrator.step("The regulator reads the log, each entry with its proof")
    filter_ = {"organisationId": RURAL_BANK.organisation_id}
    edges = (await (await stage.person("regulator")).ask(EVENTS, filter=filter_))["data"]["auditEvents"]["edges"]
    narrator.expect(
        bool(edges) and all(edge["node"]["inclusionProof"]["treeSize"] for edge in edges),
        f"{len(edges)} entries of the rural bank, each with an inclusion proof; no personal data among them.",
    )


async def _verified(stage: Stage, narrator: Narrator, receipt: dict[str, Any]) -> None:
    narrator.step("Verified offline: the bank's receipt, the whole log, and a log with one byte changed")
    folder: Path = stage.settings.home / "sandbox" / "audit"
    connection = await stage.database.connect(DbRole.AUDITOR)
    try:
        await export_bundle(connection, folder / "bundle", keys=stage.keys)
    finally:
        await connection.close()
    receipt_file = folder / "receipt.json"
    receipt_file.write_text(json.dumps(receipt), encoding="utf-8")
    report = verify_bundle(folder / "bundle", receipt=receipt_file)
    narrator.expect(report.receipt is not None, f"The receipt proves entry {report.receipt} of {report.size}.")
    altered = folder / "altered"
    shutil.copytree(folder / "bundle", altered)
    position = _change_one_byte(altered, f'"seq":{report.receipt}')
    try:
        verify_bundle(altered)
        narrator.expect(False, "The verifier finds the changed byte.")
    except VerifyError as error:
        narrator.expect(f"{report.receipt}" in str(error), f"One byte changed in {position}: {error}")
    narrator.say(f"Try it yourself:  hub audit verify {folder / 'bundle'} --receipt {receipt_file}")


def _change_one_byte(bundle: Path, mark: str) -> str:
    """Change a letter inside the entry that holds ``mark``; returns the file's name."""
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and (at := path.read_bytes().find(mark.encode())) >= 0:
            data = bytearray(path.read_bytes())
            data[at + 1] ^= 1
            path.write_bytes(data)
            return str(path.relative_to(bundle))
    raise LookupError("the entry is not in the bundle")
