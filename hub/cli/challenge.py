"""``hub challenge``: rows that a source is asked to look at again (docs/CHALLENGES.md)."""

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from hub.cli.session import run
from hub.cli.steward import steward_act, steward_desk
from hub.core.clock import iso
from hub.core.errors import InputError
from hub.core.names import Attribute, ChallengeOutcome
from hub.flows.stewards.close_challenge import close, export, for_source, list_for_operators
from hub.records.folding.challenge_store import Challenge, ChallengeFilter

app = typer.Typer(help="Rows that sources are asked to look at again.", no_args_is_help=True)

_Token = Annotated[Path | None, typer.Option(help="File with the access token of a registered data steward.")]
_Reason = Annotated[str, typer.Option(help="The case this is for; it is recorded.")]


class Status(StrEnum):
    """Which challenges to list."""

    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


class Finding(StrEnum):
    """What a steward can find; the other outcomes are for the machine."""

    CORRECTED = ChallengeOutcome.CORRECTED.value
    UPHELD = ChallengeOutcome.UPHELD.value
    INCONCLUSIVE = ChallengeOutcome.INCONCLUSIVE.value


@app.command("list")
def list_command(
    source: Annotated[str | None, typer.Option(help="Only this source.")] = None,
    status: Annotated[Status, typer.Option(help="Open ones, closed ones, or all.")] = Status.OPEN,
    attribute: Annotated[Attribute | None, typer.Option(help="Only about this attribute.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object per line instead of a table.")] = False,
) -> None:
    """List challenges, oldest first: row keys and attributes only, nothing that any source says."""
    wanted = ChallengeFilter(source, None if status is Status.ALL else status.name, attribute)

    async def work() -> list[Challenge]:
        async with steward_desk() as desk:
            return await list_for_operators(desk, wanted)

    found = run(work())
    for challenge in found:
        print(json.dumps(_listed(challenge), ensure_ascii=False) if json_lines else _line(challenge))
    if not found and not json_lines:
        print("No challenge.")


@app.command("close")
def close_command(
    challenge: Annotated[UUID, typer.Argument(help="The challenge, as `hub challenge list` names it.")],
    outcome: Annotated[Finding, typer.Option(help="What was found.", case_sensitive=False)],
    reason: _Reason,
    steward_token_file: _Token = None,
) -> None:
    """Close a challenge with its outcome. An audited act of a data steward."""

    async def work() -> Challenge:
        async with steward_desk() as desk:
            variables = {"challenge": str(challenge), "outcome": outcome.value}
            act = await steward_act(desk, reason, "hub challenge close", variables, steward_token_file)
            return (await close(desk, act, challenge, ChallengeOutcome(outcome.value)))[0]

    print(json.dumps(_listed(run(work())), ensure_ascii=False))


@app.command("export")
def export_command(
    source: Annotated[str, typer.Option(help="The source that is asked.")],
    out: Annotated[Path, typer.Option(help="A new file for the source's own people (mode 0600).")],
    reason: _Reason = "return to the source",
    steward_token_file: _Token = None,
) -> None:
    """Write the open challenges of a source: its own keys and what to look at, no other source's value."""

    async def work() -> int:
        async with steward_desk() as desk:
            act = await steward_act(desk, reason, "hub challenge export", {"source": source}, steward_token_file)
            return await export(desk, act, source, lambda lines: _write(out, lines))

    if out.exists():
        raise InputError(f"the file {out} exists already.", remedy="Name a new file; nothing was exported.")
    if not out.absolute().parent.is_dir():
        raise InputError(f"there is no folder {out.parent}.", remedy="Make it first; nothing was exported.")
    print(f"{run(work())} challenges were written to {out}.")


def _listed(challenge: Challenge) -> dict[str, Any]:
    return for_source(challenge) | {
        "county": challenge.county,
        "rule": f"{challenge.attribute}@{challenge.rule_version}",
        "status": challenge.status,
        "outcome": challenge.outcome,
        "closed_at": None if challenge.closed_at is None else iso(challenge.closed_at),
    }


def _line(challenge: Challenge) -> str:
    ended = challenge.outcome or f"due {challenge.due_on}"
    row = f"{challenge.source}  {challenge.source_key}"
    return f"{challenge.challenge_id}  {challenge.cause:<5}  {challenge.attribute:<10}  {ended:<14}  {row}"


def _write(path: Path, lines: list[str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
