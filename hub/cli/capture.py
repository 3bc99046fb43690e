"""``hub capture``: consent captured in the field, for the data stewards who review it (docs/CAPTURE.md)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hub.cli.session import open_database, read_settings, run
from hub.cli.steward import acting_steward
from hub.consent.batch import Named
from hub.consent.captures import CaptureState, RejectionCause
from hub.core.clock import day_of, iso, system_clock
from hub.core.disclosure import Asker
from hub.flows.capture.hold_evidence import destroy_evidence, read_evidence
from hub.flows.capture.review_capture import CaptureDecision, decide_capture, list_captures, masked, show_capture
from hub.flows.capture.settle_withdrawal import list_withdrawals, settle_withdrawal, show_withdrawal
from hub.flows.consent.consent_change import ConsentDesk, Operation
from hub.flows.people.account_holder import read_holder
from hub.flows.receipts import receipt_desk
from hub.store.database import DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Consent captured in the field, for reviewers.", no_args_is_help=True)

_PAGE = 100
_Token = Annotated[Path | None, typer.Option(help="File with the access token of a registered data steward.")]
_Reason = Annotated[str, typer.Option(help="The case this is for; it is recorded.")]
_CaptureId = Annotated[UUID, typer.Argument(help="The capture, as `hub capture list` names it.")]


@app.callback()
def _capture() -> None:
    """Consent captured in the field, for reviewers."""


@app.command("list")
def list_command(
    state: Annotated[CaptureState | None, typer.Option(help="Only those in this state.")] = CaptureState.CAPTURED,
    everything: Annotated[bool, typer.Option("--all", help="Whatever their state.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    steward_token_file: _Token = None,
) -> None:
    """List captured consents of the steward's counties, oldest first; nobody's name."""

    async def work() -> list[dict[str, Any]]:
        async with _opened(steward_token_file) as (desk, asker):
            told: list[dict[str, Any]] = []
            after, more = None, True
            while more:
                found, _ = await list_captures(
                    desk,
                    asker,
                    Operation("hub capture list"),
                    state=None if everything else state,
                    after=after,
                    first=_PAGE,
                )
                told += [_plain(asdict(each)) for each in found[:_PAGE]]
                more = len(found) > _PAGE
                after = found[_PAGE - 1].capture_id if more else None
        return told

    captures = run(work())
    for each in captures:
        marks = " ".join(each["flags"]) + (" CALL BACK FIRST" if each["call_back"] else "")
        line = f"{each['capture_id']}  {each['state']:<9} {each['evidence_in']}/{each['evidence']}  {marks}".rstrip()
        print(json.dumps(each, ensure_ascii=False) if as_json else line)
    if not captures and not as_json:
        print("No captured consent waits for a reviewer.")


@app.command("show")
def show_command(capture: _CaptureId, reason: _Reason, steward_token_file: _Token = None) -> None:
    """Show one captured consent with the names on its form, as JSON. Every showing is recorded."""

    async def work() -> dict[str, Any]:
        async with _opened(steward_token_file) as (desk, asker):
            operation = Operation("hub capture show", {"capture": str(capture)})
            shown, _ = await show_capture(desk, asker, capture, reason, operation)
        found, slip = shown.capture, shown.slip
        return {
            "capture": str(found.capture_id), "state": found.state, "person": masked(slip.person),
            "witnesses": [masked(each) for each in slip.witnesses],
            "witnesses_counted": len(found.captured["witnessedBy"]), "form_no": slip.form_no,
            "method": slip.method.value, "read_aloud": slip.read_aloud, "heightened_notice": slip.heightened_notice,
            "parts": slip.parts, "evidence_level": f"L{found.level}", "flags": sorted(found.flags),
            "blocked_by": sorted(found.blocked), "call_back": found.call_back, "evidence": found.evidence,
            "notice": shown.notice,
        }  # fmt: skip

    print(json.dumps(run(work()), ensure_ascii=False, indent=2))


@app.command("verify")
def verify_command(
    capture: _CaptureId,
    reason: _Reason,
    called_back: Annotated[bool, typer.Option("--called-back", help="The person was reached and asked.")] = False,
    steward_token_file: _Token = None,
) -> None:
    """Verify a captured consent: it is in force from now on."""
    _decide(capture, None, called_back, reason, steward_token_file)


@app.command("reject")
def reject_command(
    capture: _CaptureId,
    cause: Annotated[RejectionCause, typer.Option(help="Why; PRINT_NOT_MASKED also destroys the pictures.")],
    reason: _Reason,
    called_back: Annotated[bool, typer.Option("--called-back", help="The person was reached and asked.")] = False,
    steward_token_file: _Token = None,
) -> None:
    """Reject a captured consent; it never comes into force."""
    _decide(capture, cause, called_back, reason, steward_token_file)


@app.command("evidence")
def evidence_command(
    evidence: Annotated[UUID, typer.Argument(help="The picture, as `hub capture show` names it.")],
    out: Annotated[Path, typer.Option(help="File to write it to; it must not exist.")],
    reason: _Reason,
    steward_token_file: _Token = None,
) -> None:
    """Write a picture that proves a consent to a file only you can read. Every reading is recorded."""

    async def work() -> dict[str, Any]:
        async with _opened(steward_token_file) as (desk, asker):
            operation = Operation("hub capture evidence", {"evidence": str(evidence)})
            shown, _ = await read_evidence(desk, asker, evidence, reason, operation)
        out.touch(mode=0o600, exist_ok=False)
        out.write_bytes(shown.content)
        return {"evidence": str(evidence), "media_type": shown.media_type, "sha256": shown.sha256, "file": str(out)}

    print(json.dumps(run(work()), ensure_ascii=False))


@app.command("destroy")
def destroy_command(
    evidence: Annotated[UUID, typer.Argument(help="The picture, as `hub capture show` names it.")],
    reason: _Reason,
    steward_token_file: _Token = None,
) -> None:
    """Destroy a picture on which a fingerprint was found too late; a consent that rests on it ends.

    Two stewards run it: the first call condemns the picture (`destroyed` is false), another person's destroys it.
    """

    async def work() -> dict[str, Any]:
        async with _opened(steward_token_file) as (desk, asker):
            operation = Operation("hub capture destroy", {"evidence": str(evidence)})
            gone, receipt = await destroy_evidence(desk, asker, evidence, reason, operation)
        ended = None if gone.consent_id is None else str(gone.consent_id)
        told = {"evidence": str(evidence), "destroyed": gone.is_done, "consent_ended": ended}
        return told | {"receipt": receipt.as_json()}

    print(json.dumps(run(work()), ensure_ascii=False))


@app.command("withdrawals")
def withdrawals_command(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    steward_token_file: _Token = None,
) -> None:
    """List withdrawals from the field with flags that nobody has settled, oldest first; nobody's name."""

    async def work() -> list[dict[str, Any]]:
        async with _opened(steward_token_file) as (desk, asker):
            told: list[dict[str, Any]] = []
            after, more = None, True
            while more:
                operation = Operation("hub capture withdrawals")
                found, _ = await list_withdrawals(desk, asker, operation, after=after, first=_PAGE)
                told += [_plain(asdict(each)) for each in found[:_PAGE]]
                more = len(found) > _PAGE
                after = found[_PAGE - 1].capture_id if more else None
        return told

    waiting = run(work())
    for each in waiting:
        effect = "took effect" if each["names_somebody"] else "NO EFFECT YET"
        line = f"{each['capture_id']}  {effect:<13} {' '.join(each['flags'])}"
        print(json.dumps(each, ensure_ascii=False) if as_json else line)
    if not waiting and not as_json:
        print("No withdrawal waits for a steward.")


@app.command("withdrawal")
def withdrawal_command(capture: _CaptureId, reason: _Reason, steward_token_file: _Token = None) -> None:
    """Show one flagged withdrawal with the name on its slip, as JSON. Every showing is recorded."""

    async def work() -> dict[str, Any]:
        async with _opened(steward_token_file) as (desk, asker):
            operation = Operation("hub capture withdrawal", {"capture": str(capture)})
            shown, _ = await show_withdrawal(desk, asker, capture, reason, operation)
        found = shown.withdrawal
        return {
            "capture": str(found.capture_id), "person": masked(shown.person), "flags": sorted(found.flags),
            "took_effect": found.person_id is not None, "settled": found.cause,
        }  # fmt: skip

    print(json.dumps(run(work()), ensure_ascii=False, indent=2))


@app.command("settle")
def settle_command(
    capture: _CaptureId,
    reason: _Reason,
    person: Annotated[
        Path | None,
        typer.Option(help='Whose it is: file with {"id_number": "...", "name": "..."}. Without: it stays as it is.'),
    ] = None,
    steward_token_file: _Token = None,
) -> None:
    """Settle a flagged withdrawal; what the person of the file gave ends at once."""
    holder = None if person is None else read_holder(person, day_of(system_clock()))
    named = None if holder is None else Named(id_number=holder.id_number, name=holder.name)

    async def work() -> dict[str, Any]:
        async with _opened(steward_token_file) as (desk, asker):
            operation = Operation("hub capture settle", {"capture": str(capture)})
            settled, receipt = await settle_withdrawal(desk, asker, capture, named, reason, operation)
        ended = [each["consent"] for each in settled.ended]
        return {
            "capture": str(capture), "settled": settled.cause.value, "consents_ended": ended,
            "receipt": receipt.as_json(),
        }  # fmt: skip

    print(json.dumps(run(work()), ensure_ascii=False))


def _decide(
    capture: UUID, cause: RejectionCause | None, called_back: bool, reason: str, token_file: Path | None
) -> None:
    async def work() -> dict[str, Any]:
        async with _opened(token_file) as (desk, asker):
            operation = Operation("hub capture verify" if cause is None else "hub capture reject")
            decided, receipt = await decide_capture(
                desk, CaptureDecision(asker, capture, cause, called_back, reason, operation)
            )
        return {
            "capture": str(capture), "state": decided.state.value,
            "consent": None if decided.consent_id is None else str(decided.consent_id),
            "evidence_level": None if decided.level is None else f"L{decided.level}", "receipt": receipt.as_json(),
        }  # fmt: skip

    print(json.dumps(run(work()), ensure_ascii=False))


@asynccontextmanager
async def _opened(token_file: Path | None) -> AsyncIterator[tuple[ConsentDesk, Asker]]:
    settings = read_settings()
    database = await open_database(settings)
    keys = FileKeys(settings.keys_folder)
    steward = await acting_steward(database, keys, settings, token_file)
    pool = await database.pool(DbRole.APP, size=2)
    try:
        async with receipt_desk(database, keys, settings.home) as receipts:
            yield ConsentDesk(pool, keys, receipts), Asker(steward, "", steward)
    finally:
        await pool.close()


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Instants and ids as text."""
    return {
        name: iso(value) if isinstance(value, datetime) else str(value) if isinstance(value, UUID) else value
        for name, value in facts.items()
    }
