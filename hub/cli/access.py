"""``hub access``: who may see what and why, whose view a change changes, and who approved it (docs/ACCESS.md)."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import asyncpg
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hub.access.approvals import APPROVALS_NEEDED, approved_by, proposal_of, read_private_key, read_public_key
from hub.access.compare import changed_bases, compare, in_words
from hub.access.compile import compile_rules, compiled
from hub.access.explain import Verdict
from hub.access.matrix import WORDS, as_cases, as_csv, as_json
from hub.access.rules import RuleSet
from hub.audit.damage import VerifyError
from hub.audit.verify import read_receipt
from hub.cli.desks import approval_desk
from hub.cli.session import open_database, operator_name, read_settings, run
from hub.cli.steward import acting_auditor
from hub.core.clock import SHANGHAI, iso, system_clock
from hub.core.errors import InputError
from hub.core.names import Category, Purpose, Role
from hub.flows.people.change_reader import Reader, register_reader, remove_reader
from hub.flows.receipts import receipt_desk
from hub.flows.rules.approve_rules import approve_rules, change_approver, propose_rules
from hub.flows.rules.explain_decision import Explanation, event_at, explain_to_auditor
from hub.flows.rules.shadow import acknowledge
from hub.store.database import Database, DbRole
from hub.store.keys import FileKeys

app = typer.Typer(help="Access rules: show, explain, compare, approve.", no_args_is_help=True)
approvers = typer.Typer(help="Keys of the administrators who approve rules.", no_args_is_help=True)
app.add_typer(approvers, name="approver")
readers = typer.Typer(help="People's own database logins: which rows they may see the state of.", no_args_is_help=True)
app.add_typer(readers, name="reader")

DIFFERS = 21
"""Exit code of an explanation whose decision is not what the rules of its time say."""

ACTIVE = "active"


@app.command("matrix")
def matrix_command(
    full: Annotated[bool, typer.Option("--full", help="Every case of every cell on a line of its own.")] = False,
    as_json_: Annotated[bool, typer.Option("--json", help="The open cells as JSON.")] = False,
    role: Annotated[Role | None, typer.Option(help="Only this role; with --full.")] = None,
    purpose: Annotated[Purpose | None, typer.Option(help="Only this purpose; with --full.")] = None,
) -> None:
    """Print who may see what, with the rules behind every cell, of the rules of this program."""
    decisions = compiled(read_settings().legal_mode)
    if as_json_:
        print(as_json(decisions))
    elif full:
        for lines in as_cases(decisions, role=role, purpose=purpose):
            print(lines)
    else:
        print(as_csv(decisions), end="")


@app.command("diff")
def diff_command(
    old: Annotated[str, typer.Argument(help="A folder of rules, the beginning of a digest, or `active`.")],
    new: Annotated[str, typer.Argument(help="The same; `program` for the rules of this program.")] = "program",
    as_json_: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
) -> None:
    """Say whose view changes between two sets of rules, cell by cell."""
    before, after = run(_two_sets(old, new))
    bases = changed_bases(before.bases, after.bases)
    changes = compare(compile_rules(before), compile_rules(after))
    if as_json_:
        print(json.dumps([*bases, *(change.as_json() for change in changes)], indent=1))
    else:
        told = [f"{line['change']}: basis {line['basis']} for everything that it covers" for line in bases]
        print("\n".join([*told, *in_words(changes)]))


async def _two_sets(old: str, new: str) -> tuple[RuleSet, RuleSet]:
    return await _rules(old), await _rules(new)


async def _rules(name: str) -> RuleSet:
    settings = read_settings()
    if name == "program":
        return RuleSet.load(mode=settings.legal_mode)
    if (folder := Path(name)).is_dir():
        return RuleSet.load(folder, settings.legal_mode)
    database = await open_database(settings)
    owner = await database.connect(DbRole.OWNER)
    try:
        rows = await owner.fetch(
            """SELECT source FROM access.policy_set
               WHERE source IS NOT NULL AND CASE $1 WHEN 'active' THEN retired_at IS NULL
                                                 ELSE starts_with(encode(digest, 'hex'), $1) END
               UNION
               SELECT source FROM access.policy_proposal WHERE starts_with(encode(digest, 'hex'), $1)""",
            name,
        )
    finally:
        await owner.close()
    if len(rows) != 1 or (name != ACTIVE and len(name) < 6):
        raise InputError(
            f"`{name[:70]}` is no folder and names no single set of rules.",
            remedy="Give a folder, at least 6 characters of a digest, `active` or `program`.",
            code="RULES_UNKNOWN",
        )
    return RuleSet.of_source(rows[0]["source"])


@app.command("explain")
def explain_command(
    decision: Annotated[
        str,
        typer.Argument(metavar="RECEIPT|ENTRY", help="A receipt or saved reply, an event id, or a place in the log."),
    ],
    reason: Annotated[str, typer.Option(help="What the explanation is for; it is recorded.")],
    field: Annotated[
        list[str] | None, typer.Option(help="A field, part or category, as docs/FIELDS.md names it; all by default.")
    ] = None,
    as_json_: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the access token of an auditor, regulator or data steward.")
    ] = None,
) -> None:
    """Say why a field was given or withheld, by the rules of that time and by those of today.

    Exit code 21 if the decision is not what the rules of its time say.
    """

    async def work() -> Explanation:
        settings = read_settings()
        database = await open_database(settings)
        keys = FileKeys(settings.keys_folder)
        account = await acting_auditor(database, keys, settings, token_file)
        event = await _event(database, decision)
        async with receipt_desk(database, keys, settings.home) as receipts:
            return await explain_to_auditor(
                database, keys, receipts,
                account=account, reason=reason, event=event, fields=field or (), clock=system_clock,
            )  # fmt: skip

    explanation = run(work())
    if as_json_:
        print(json.dumps(_as_json(explanation), ensure_ascii=False, indent=1))
    else:
        print("\n".join(_in_words(explanation)))
    if not explanation.follows:
        raise typer.Exit(DIFFERS)


async def _event(database: Database, decision: str) -> UUID:
    """The event of a receipt file, an event id or a place in the log."""
    if (path := Path(decision)).is_file():
        try:
            return read_receipt(path).leaf().ev
        except VerifyError as error:
            raise InputError(f"the receipt cannot be used: {error}", code="RECEIPT_INVALID") from None
    if decision.isdigit():
        auditor = await database.connect(DbRole.AUDITOR)
        try:
            return await event_at(auditor, int(decision))
        finally:
            await auditor.close()
    try:
        return UUID(decision)
    except ValueError:
        raise InputError(
            "this is no receipt file, event id or place in the log.", remedy="Check the path.", code="FILE_MISSING"
        ) from None


def _in_words(explanation: Explanation) -> list[str]:
    basis = (
        f"It rested on a basis that {'is still in force' if explanation.basis_stands else 'is not in force any more'}."
        if explanation.has_basis
        else "It rested on no basis."
    )
    lines = [
        f"Entry {explanation.index}, {iso(explanation.at)}: {explanation.role} of"
        f" {explanation.organisation or 'oneself'} for {explanation.purpose}.",
        basis if explanation.cause is None else f"{basis} Recorded cause: {explanation.cause}.",
        f"Rules then: {explanation.digest_then.hex()[:12]}; rules now: {explanation.digest_now.hex()[:12]}.",
    ]
    for part in explanation.parts:
        told = "" if part.told is None else f" ({part.told})"
        lines.append(f"{part.part}: {part.outcome}{told}")
        for when, verdict in (("then", part.then), ("now", part.now)):
            if verdict is None:
                lines.append(f"  {when}: the words of the rules were not kept.")
                continue
            by = ", ".join(verdict.rule_ids) or "no rule permits it"
            missing = ", ".join(word for need, word in WORDS.items() if need in verdict.missing)
            said = f"{'allowed' if verdict.allowed else 'denied'} by {by}"
            lines.append(f"  {when}: {said}{f'; missing: {missing}' if missing else ''}")
        if not part.follows:
            lines.append("  DIFFERS: the outcome is not what the rules of that time say.")
    return lines


def _as_json(explanation: Explanation) -> dict[str, object]:
    def verdict(one: Verdict | None) -> object:
        if one is None:
            return None
        missing = [word for need, word in WORDS.items() if need in one.missing]
        return {"allowed": one.allowed, "rules": one.rule_ids, "missing": missing}

    return {
        "entry": explanation.index,
        "event": str(explanation.event),
        "at": iso(explanation.at),
        "organisation": explanation.organisation,
        "role": explanation.role,
        "purpose": explanation.purpose,
        "cause": explanation.cause,
        "basisStands": explanation.basis_stands,
        "rulesThen": explanation.digest_then.hex(),
        "rulesNow": explanation.digest_now.hex(),
        "follows": explanation.follows,
        "parts": [
            {
                "part": part.part,
                "outcome": part.outcome,
                "reason": part.told,
                "then": verdict(part.then),
                "now": verdict(part.now),
                "follows": part.follows,
            }
            for part in explanation.parts
        ],
    }


@app.command("propose")
def propose_command(
    effective_from: Annotated[
        str | None, typer.Option(help="ISO 8601 instant from which they shall hold; at once by default.")
    ] = None,
) -> None:
    """Propose the rules of this program, so that two administrators can approve them."""
    instant = _instant(effective_from)

    async def work() -> str:
        async with approval_desk() as desk:
            proposal = await propose_rules(desk, read_settings().legal_mode, instant)
            return proposal.digest.hex()

    print(f"Proposed: {run(work())}. See whose view changes with `hub access diff active`.")


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError("the instant is not ISO 8601.", remedy="For instance 2027-01-01T00:00:00+08:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=SHANGHAI)


@app.command("proposals")
def proposals_command() -> None:
    """List proposed rules with their approvals, newest first."""

    async def work() -> list[str]:
        settings = read_settings()
        database = await open_database(settings)
        owner = await database.connect(DbRole.OWNER)
        try:
            rows = await owner.fetch(
                """SELECT p.digest, p.proposed_at, p.effective_from, s.digest IS NOT NULL AS in_force
                   FROM access.policy_proposal p
                   LEFT JOIN access.policy_set s ON s.digest = p.digest AND s.retired_at IS NULL
                   ORDER BY p.proposed_at DESC"""
            )
            return [await _proposal_line(owner, row, settings.is_production) for row in rows]
        finally:
            await owner.close()

    print("\n".join(run(work())) or "No rules were proposed.")


async def _proposal_line(owner: asyncpg.Connection, row: asyncpg.Record, production: bool) -> str:
    proposal = await proposal_of(owner, row["digest"])
    assert proposal is not None
    names = await approved_by(owner, proposal, production=production)
    changes = len(json.loads(proposal.changes))
    return (
        f"{row['digest'].hex()}  {'in force' if row['in_force'] else 'waiting '}  {changes} changes,"
        f" from {iso(row['effective_from'])}, {len(names)} of {APPROVALS_NEEDED} approvals"
        f": {', '.join(names) or 'none'}"
    )


@app.command("approve")
def approve_command(
    digest: Annotated[str, typer.Argument(help="The whole digest, as `hub access proposals` lists it.")],
    account: Annotated[str, typer.Option(help="The security administrator who approves.")],
    key: Annotated[Path, typer.Option(help="PEM file with his Ed25519 key.")],
    password_file: Annotated[Path | None, typer.Option(help="File with the password of that key.")] = None,
) -> None:
    """Sign for proposed rules and for whose view they change. Two different administrators are needed."""
    password = None if password_file is None else password_file.read_bytes().rstrip(b"\r\n")
    private = read_private_key(key, password)
    try:
        wanted = bytes.fromhex(digest)
    except ValueError:
        raise InputError("a digest has 64 hexadecimal digits.") from None

    async def work() -> list[str]:
        async with approval_desk() as desk:
            production = read_settings().is_production
            return (await approve_rules(desk, wanted, account, private, production=production))[0]

    names = run(work())
    print(f"{len(names)} of {APPROVALS_NEEDED} approvals: {', '.join(names)}.")


@approvers.command("key")
def key_command(
    out: Annotated[
        Path, typer.Option(help="A new PEM file for the private key; the public one goes beside it as .pub.")
    ],
    password_file: Annotated[Path | None, typer.Option(help="File with a password to seal it with.")] = None,
) -> None:
    """Make a key for approvals, on the administrator's own machine."""
    if out.exists():
        raise InputError(f"{out} exists already.", remedy="Name a new file.")
    made = Ed25519PrivateKey.generate()
    sealing = (
        NoEncryption() if password_file is None else BestAvailableEncryption(password_file.read_bytes().rstrip(b"\r\n"))
    )
    out.touch(mode=0o600)
    out.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealing))
    public = out.with_suffix(".pub")
    public.write_bytes(made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    fingerprint = hashlib.sha256(made.public_key().public_bytes_raw()).hexdigest()
    print(f"Keep {out} to yourself; register {public} with `hub access approver add`. Fingerprint: {fingerprint}")


@approvers.command("add")
def add_command(
    account: Annotated[str, typer.Argument(help="An account of role SECURITY_ADMIN.")],
    public_key: Annotated[Path, typer.Option(help="PEM file with the public key.")],
) -> None:
    """Put down the key of an administrator, in place of the one before; he confirms it himself."""
    raw = read_public_key(public_key)

    async def work() -> None:
        async with approval_desk() as desk:
            await change_approver(desk, account, raw)

    run(work())
    fingerprint = hashlib.sha256(raw).hexdigest()
    print(f"Waits for {account}: he confirms it himself at /accounts/changes.")
    print(f"Fingerprint: {fingerprint}")


@approvers.command("revoke")
def revoke_command(account: Annotated[str, typer.Argument(help="The account whose key is taken back.")]) -> None:
    """Take a key back: what it signed before keeps counting, nothing later does."""

    async def work() -> None:
        async with approval_desk() as desk:
            await change_approver(desk, account, None)

    run(work())
    print(f"Taken back from {account}.")


@readers.command("add")
def add_reader_command(
    login: Annotated[str, typer.Argument(help="The login, a member of hub_viewer on the server.")],
    county: Annotated[list[str], typer.Option(help="County code; may be given several times.")],
    category: Annotated[list[Category], typer.Option(help="Category; may be given several times.")],
    until: Annotated[str, typer.Option(help="ISO 8601 instant from which it sees nothing any more.")],
) -> None:
    """Register a login, or change what it sees."""
    end = _instant(until)
    assert end is not None
    reader = Reader(login, tuple(county), tuple(category), end)

    async def work() -> None:
        async with approval_desk() as desk:
            await register_reader(desk, reader)

    run(work())
    print(f"{login} sees the state of {len(category)} categories in {len(county)} counties until {iso(end)}.")


@readers.command("remove")
def remove_reader_command(login: Annotated[str, typer.Argument(help="The login.")]) -> None:
    """Let a login see nothing any more."""

    async def work() -> None:
        async with approval_desk() as desk:
            await remove_reader(desk, login)

    run(work())
    print(f"{login} sees nothing any more.")


@app.command("shadow")
def shadow_command(
    acknowledged: Annotated[
        str | None, typer.Option("--acknowledge", metavar="REASON", help="End the alarm; the reason is recorded.")
    ] = None,
) -> None:
    """Say how many decisions were run again through Cedar, and how many differed."""

    async def work() -> asyncpg.Record:
        settings = read_settings()
        database = await open_database(settings)
        record = await database.connect(DbRole.INGEST)
        try:
            if acknowledged is not None:
                async with receipt_desk(database, FileKeys(settings.keys_folder), settings.home) as receipts:
                    await acknowledge(record, receipts, operator_name(), acknowledged)
            return await record.fetchrow("SELECT checked, differed, unacknowledged FROM access.shadow")
        finally:
            await record.close()

    row = run(work())
    print(
        f"{row['checked']} decisions rechecked, {row['differed']} differed, {row['unacknowledged']} not acknowledged."
    )
