"""``hub links``: how rows without a usable ID number are linked to people, and their review (docs/LINKAGE.md)."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hub.cli.session import open_database, read_settings, run
from hub.cli.steward import steward_act, steward_desk
from hub.core.clock import iso
from hub.core.errors import InputError
from hub.core.names import LinkState, LinkVerdict
from hub.flows.stewards.review_links import LinkChoice, decide_link, list_open_reviews, show_review
from hub.records.linkage.link_review import OPEN_STATES, QueuedReview, ReviewedRow, ReviewFilter
from hub.records.linkage.links import list_links
from hub.store.database import DbRole

app = typer.Typer(help="Links of rows without a usable ID number.", no_args_is_help=True)
review = typer.Typer(help="The review queue, for data stewards.", no_args_is_help=True)
app.add_typer(review, name="review")

_Token = Annotated[Path | None, typer.Option(help="File with the access token of a registered data steward.")]
_Reason = Annotated[str, typer.Option(help="The case this is for; it is recorded.")]


class Band(StrEnum):
    """Bands of the score, the surest first (docs/LINKAGE.md)."""

    A = "A"
    B = "B"
    C = "C"
    D = "D"


@app.callback()
def _links() -> None:
    """Links of rows without a usable ID number."""


@review.callback()
def _review() -> None:
    """The review queue, for data stewards."""


@app.command("list")
def list_command(
    source: Annotated[str, typer.Option(help="The source whose rows are listed.")],
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON object per line; the only form there is.")
    ] = True,
) -> None:
    """List every row without ID number with its state and candidates, by number only."""
    del json_lines

    async def work() -> None:
        database = await open_database(read_settings())
        connection = await database.connect(DbRole.INGEST)
        try:
            entries = await list_links(connection, source)
        finally:
            await connection.close()
        for entry in entries:
            print(json.dumps(entry, ensure_ascii=False))

    run(work())


@app.command("score")
def score_command() -> None:
    """Score every row that waits for a reviewer against the roster. It proposes and never links."""
    # Here, because the linkage library takes a second to load and the other commands do without.
    from hub.flows.intake.score_links import score_links

    async def work() -> None:
        async with steward_desk() as desk:
            proposed = await score_links(desk.database, desk.keys, desk.receipts, desk.clock)
        bands = ", ".join(f"{number} in band {band}" for band, number in proposed.proposals.items()) or "none"
        print(f"{proposed.rows} rows scored; proposals: {bands}.")

    run(work())


@review.command("list")
def list_reviews_command(
    source: Annotated[str | None, typer.Option(help="Only rows of this source.")] = None,
    source_key: Annotated[str | None, typer.Option(help="Only this row, whatever its state.")] = None,
    state: Annotated[list[LinkState] | None, typer.Option(help="Only rows in this state.")] = None,
    band: Annotated[Band | None, typer.Option(help="Only rows whose best candidate is in this band.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many rows.")] = 100,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per line instead of a table.")] = False,
) -> None:
    """List the rows that wait for a reviewer, the surest proposals first. Numbers only, nothing personal."""
    states = tuple(state) if state else tuple(LinkState) if source_key else OPEN_STATES
    if LinkState.ID in states and source_key is None:
        raise InputError("rows linked by ID number are listed one by one.", remedy="Give --source-key.")

    async def work() -> list[QueuedReview]:
        async with steward_desk() as desk:
            return await list_open_reviews(desk, ReviewFilter(states, source, source_key, band and band.value), limit)

    found = run(work())
    for entry in found:
        print(json.dumps(_listed(entry), ensure_ascii=False) if json_lines else _line(entry))
    if not found and not json_lines:
        print("No row waits for a review.")


@review.command("show")
def show_command(
    row: Annotated[UUID, typer.Argument(help="The review, as `hub links review list` names it.")],
    reason: _Reason,
    steward_token_file: _Token = None,
) -> None:
    """Show one row beside the members who may be meant, as JSON. Every showing is an audited disclosure."""

    async def work() -> dict[str, Any]:
        async with steward_desk() as desk:
            act = await steward_act(desk, reason, "hub links review show", {"review": str(row)}, steward_token_file)
            shown, _ = await show_review(desk, act, row)
            return _shown(shown)

    print(json.dumps(run(work()), ensure_ascii=False, indent=2))


@review.command("decide")
def decide_command(
    row: Annotated[UUID, typer.Argument(help="The review, as `hub links review list` names it.")],
    reason: _Reason,
    seen: Annotated[
        int, typer.Option(help="How many decisions `show` listed; if there are more now, nothing is done.")
    ],
    link: Annotated[str | None, typer.Option(help="The number of the member who is meant.")] = None,
    unlink: Annotated[bool, typer.Option("--unlink", help="Not the person it is linked to.")] = False,
    none: Annotated[bool, typer.Option("--none", help="None of the candidates.")] = False,
    steward_token_file: _Token = None,
) -> None:
    """Decide about one row: --link MEMBER, --unlink or --none. The sections concerned are refreshed at once."""
    if (link is not None) + unlink + none != 1:
        raise InputError("exactly one decision is needed.", remedy="Give --link MEMBER, --unlink or --none.")
    verdict = LinkVerdict.LINK if link is not None else LinkVerdict.UNLINK if unlink else LinkVerdict.NONE
    choice = LinkChoice(row, verdict, seen, None if link is None else link.removeprefix("member|"))

    async def work() -> dict[str, Any]:
        async with steward_desk() as desk:
            variables = {"review": str(row), "verdict": verdict.value, "member": choice.member_no, "seen": seen}
            act = await steward_act(desk, reason, "hub links review decide", variables, steward_token_file)
            made, _ = await decide_link(desk, act, choice)
            return {
                "review": str(made.row_id), "decision": made.number, "verdict": made.verdict.value,
                "state": made.state.value, "member": made.member_no, "decided_at": iso(made.decided_at),
            }  # fmt: skip

    print(json.dumps(run(work()), ensure_ascii=False))


def _listed(entry: QueuedReview) -> dict[str, Any]:
    quarantine = None if entry.quarantine is None else {"id": entry.quarantine[0], "reason": entry.quarantine[1].name}
    return {
        "review": str(entry.row_id), "source": entry.source, "source_key": entry.source_key,
        "source_version": entry.version, "state": entry.state.value, "since": iso(entry.since), "band": entry.band,
        "score": None if entry.score is None else round(entry.score, 4), "proposals": entry.proposals,
        "decisions": entry.decisions, "quarantine": quarantine,
    }  # fmt: skip


def _line(entry: QueuedReview) -> str:
    score = "      " if entry.score is None else f"{entry.score:.4f}"
    held = "" if entry.quarantine is None else f"  held back: {entry.quarantine[0]} {entry.quarantine[1].name}"
    row = f"{entry.source}  {entry.source_key}"
    return f"{entry.row_id}  {entry.state.value:<9}  {entry.band or '-'} {score}  {row}{held}"


def _shown(row: ReviewedRow) -> dict[str, Any]:
    quarantine = None if row.quarantine is None else {"id": row.quarantine[0], "reason": row.quarantine[1].name}
    return {
        "review": str(row.row_id), "source": row.source, "source_key": row.source_key, "source_version": row.version,
        "category": row.category, "state": row.state.value, "quarantine": quarantine,
        "row": {
            "name": row.name, "address": row.address, "phone": row.phone, "id_masked": row.id_masked,
            "value": row.value,
        },
        "candidates": [
            {
                "member": candidate.member_no, "linked": candidate.linked, "exact_rule": candidate.by_exact_rule,
                "band": candidate.band, "score": candidate.score, "name": candidate.name,
                "id_masked": candidate.id_masked, "birth_year": candidate.birth_year,
                "sex": {True: "男", False: "女", None: None}[candidate.is_male],
                "household_no": candidate.household_no, "village_code": candidate.village_code,
                "township_name": candidate.township_name, "village_name": candidate.village_name,
                "group_no": candidate.group_no, "phone": candidate.phone, "status": candidate.status,
                "evidence": [asdict(item) for item in candidate.evidence],
            }
            for candidate in row.candidates
        ],
        "decisions": [
            {
                "decision": decision.number, "verdict": decision.verdict.value, "member": decision.member_no,
                "steward": decision.steward, "reason": decision.reason, "decided_at": iso(decision.decided_at),
            }
            for decision in row.decisions
        ],
    }  # fmt: skip
